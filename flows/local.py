"""The DVC graph on this machine, several stages at once, without a server: what ``make repro`` runs.

    python -m flows.local --workers 2                           # all that dvc.yaml describes
    python -m flows.local --pipeline claims/dvc.yaml

It does what ``dvc repro --keep-going`` does, but stages that do not wait for one another run side by side, each with
its share of the processor's threads: a training on two cores is hardly faster with two threads than with one. What is
current costs one ``dvc status``. A stage that fails stops what follows from it and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.execution import StageResult, reproduce_stage, thread_share
from flows.graph import Stage, changed_stages, read_graph, with_followers
from flows.processes import load_environment, sole_use
from flows.schedule import run_all
from flows.summary import summarise


def reproduce(root: Path, pipeline: str, workers: int) -> list[StageResult]:
    """Bring every stage of a pipeline up to date.

    Args:
        root: the repository.
        pipeline: its file, ``dvc.yaml`` or another.
        workers: stages at once.

    Returns:
        What became of each stage, in the order of the graph.
    """
    environment = thread_share(workers)
    with sole_use(root):
        stages = read_graph(root, pipeline)
        stale = with_followers(stages, changed_stages(root, [stage.name for stage in stages]))

        def start(stage: Stage) -> StageResult:
            if stage.name not in stale:
                return StageResult(stage.name, "current")
            return reproduce_stage(root, stage.name, environment)

        return run_all(stages, start, workers)


def main() -> None:
    """Run the pipeline of the repository in the present folder; exit 1 when a stage failed."""
    parser = argparse.ArgumentParser(description="Reproduce a DVC pipeline, several stages at once.")
    parser.add_argument("--pipeline", default="dvc.yaml")
    parser.add_argument("--workers", type=int, default=2, help="stages at once (default 2)")
    arguments = parser.parse_args()
    load_environment()
    try:
        results = reproduce(Path.cwd(), arguments.pipeline, arguments.workers)
    except RuntimeError as error:
        sys.exit(str(error))
    if any(result.outcome != "current" for result in results):
        print(summarise(results))
    else:
        print(f"all {len(results)} stages are current")
    sys.exit(any(result.outcome in ("failed", "blocked") for result in results))


if __name__ == "__main__":
    main()
