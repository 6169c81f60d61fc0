"""The DVC graph on this machine, several stages at once, without a server: what ``make repro`` runs.

    python -m flows.local --workers 2                           # all that dvc.yaml describes
    python -m flows.local --pipeline claims/dvc.yaml

It does what ``dvc repro --keep-going`` does, but stages that do not wait for one another run side by side, each with
its share of the processor's threads: a training on two cores is hardly faster with two threads than with one. What is
current costs one ``dvc status``. A stage that fails stops what follows from it and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from flows.graph import Stage, StageFailedError, StageResult, read_graph, reproduce_stage, summarise
from flows.processes import end_all, load_environment


def reproduce(root: Path, pipeline: str, workers: int) -> list[StageResult]:
    """Bring every stage of a pipeline up to date.

    Args:
        root: the repository.
        pipeline: its file, ``dvc.yaml`` or another.
        workers: stages at once.

    Returns:
        What became of each stage, in the order of the graph.
    """
    stages = read_graph(root, pipeline)
    stale = with_followers(stages, changed_stages(root, [stage.name for stage in stages]))
    results = {stage.name: StageResult(stage.name, "current") for stage in stages if stage.name not in stale}
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    waiting = [stage for stage in stages if stage.name in stale]
    running: dict[Future[StageResult], str] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                for stage in blocked(waiting, results):
                    results[stage.name] = StageResult(stage.name, "blocked")
                    waiting.remove(stage)
                for stage in ready(waiting, results)[: workers - len(running)]:
                    running[pool.submit(reproduce_stage, root, stage.name, environment)] = stage.name
                    waiting.remove(stage)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    error = future.exception()
                    if error is None:
                        results[name] = future.result()
                    elif isinstance(error, StageFailedError):
                        results[name] = error.result
                    else:
                        raise error
        except BaseException:
            end_all()
            raise
    return [results[stage.name] for stage in stages]


def changed_stages(root: Path, names: Sequence[str]) -> set[str]:
    """Stages that DVC would run if nothing before them changed.

    Raises:
        SystemExit: DVC cannot read the pipeline; its words are on the terminal.
    """
    command = ["dvc", "--wait-for-lock", "status", "--json", *names]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return set(json.loads(done.stdout.splitlines()[-1])) if done.stdout.strip() else set()


def with_followers(stages: Sequence[Stage], changed: Collection[str]) -> set[str]:
    """The changed stages and all that follow from them; ``stages`` has causes before effects."""
    stale = set(changed)
    for stage in stages:
        if stale.intersection(stage.after):
            stale.add(stage.name)
    return stale


def ready(waiting: Sequence[Stage], results: dict[str, StageResult]) -> list[Stage]:
    """Stages whose causes are done: trainings (``resources: gpu``) first, since they take longest."""
    free = [stage for stage in waiting if all(name in results for name in stage.after)]
    return sorted(free, key=lambda stage: stage.resources != "gpu")


def blocked(waiting: Sequence[Stage], results: dict[str, StageResult]) -> list[Stage]:
    """Stages that cannot run because one before them failed or was blocked."""
    lost = {name for name, result in results.items() if result.outcome in ("failed", "blocked")}
    return [stage for stage in waiting if lost.intersection(stage.after)]


def main() -> None:
    """Run the pipeline of the repository in the present folder; exit 1 when a stage failed."""
    parser = argparse.ArgumentParser(description="Reproduce a DVC pipeline, several stages at once.")
    parser.add_argument("--pipeline", default="dvc.yaml")
    parser.add_argument("--workers", type=int, default=2, help="stages at once (default 2)")
    arguments = parser.parse_args()
    load_environment()
    results = reproduce(Path.cwd(), arguments.pipeline, arguments.workers)
    if any(result.outcome != "current" for result in results):
        print(summarise(results))
    else:
        print(f"all {len(results)} stages are current")
    sys.exit(any(result.outcome in ("failed", "blocked") for result in results))


if __name__ == "__main__":
    main()
