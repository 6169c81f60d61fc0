"""Result files into MLflow, by the publisher's command line: what is there already is left alone."""

from __future__ import annotations

from pathlib import Path

from prefect import flow, get_run_logger, task

from flows.execution import StageFailedError, run_command
from flows.pools import checkout


@task(name="publish", task_run_name="publish", retries=1, retry_delay_seconds=5, persist_result=False)
def publish_task(root: str, only_if_changed: bool = False) -> None:
    """Fill MLflow from the result files; a server that is away fails this task alone.

    Raises:
        RuntimeError: the publisher failed; its words are in the log.
    """
    command = ["vultus", "publish", *(["--if-changed"] if only_if_changed else [])]
    try:
        run_command(command, Path(root), "publish", say=get_run_logger().info)
    except StageFailedError:
        raise RuntimeError("vultus publish failed: the results are in reports/, publish them later") from None


@flow(name="publish", persist_result=False)
def publish(root: str | None = None) -> None:
    """Bring all results of a checkout into MLflow.

    Args:
        root: the repository; default the checkout of the process that runs this.
    """
    publish_task(root or str(checkout()))
