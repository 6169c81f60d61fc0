"""Which stage starts when: every runner of a graph goes through `run_all`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context

from flows.execution import StageFailedError, StageResult
from flows.graph import Stage
from flows.processes import end_all

TICK_S = 2.0

_stop: ContextVar[threading.Event] = ContextVar("stop")


def stopping() -> bool:
    """Whether the run that this thread works for is being ended: whoever waits for something must give up."""
    event = _stop.get(None)
    return event is not None and event.is_set()


def run_all(
    stages: Sequence[Stage],
    start: Callable[[Stage], StageResult],
    workers: int,
    *,
    skip: Callable[[Stage], None] | None = None,
    tick: Callable[[], None] | None = None,
) -> list[StageResult]:
    """Run every stage after those that it reads from; a failure stops what follows from it and nothing else.

    When this function is left by an exception, every child process is ended first.

    Args:
        stages: causes before effects.
        start: runs one stage, in a thread that has the context variables of this one; fails with `StageFailedError`.
        workers: stages at once.
        skip: is told of each stage that cannot run.
        tick: called every `TICK_S` seconds; ends the run by raising.

    Returns:
        What became of each stage, in the order given.
    """
    results: dict[str, StageResult] = {}
    waiting = by_urgency(stages)
    running: dict[Future[StageResult], str] = {}
    stop = threading.Event()
    token = _stop.set(stop)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                for stage in blocked(waiting, results):
                    results[stage.name] = StageResult(stage.name, "blocked")
                    waiting.remove(stage)
                    if skip is not None:
                        skip(stage)
                for stage in ready(waiting, results)[: workers - len(running)]:
                    running[pool.submit(copy_context().run, start, stage)] = stage.name
                    waiting.remove(stage)
                for future in wait(running, TICK_S if tick else None, FIRST_COMPLETED).done:
                    name = running.pop(future)
                    try:
                        results[name] = future.result()
                    except StageFailedError as error:
                        results[name] = error.result
                if tick is not None:
                    tick()
        except BaseException:
            stop.set()
            end_all()
            while wait(running, timeout=1).not_done:
                end_all()
            raise
        finally:
            _stop.reset(token)
    return [results[stage.name] for stage in stages]


def by_urgency(stages: Sequence[Stage]) -> list[Stage]:
    """First the stages from which it is farthest to the end, counted in stages: the longest way waits for nobody."""
    distance = {stage.name: 0 for stage in stages}
    for stage in reversed(stages):
        for name in stage.after:
            distance[name] = max(distance.get(name, 0), distance[stage.name] + 1)
    return sorted(stages, key=lambda stage: -distance[stage.name])


def ready(waiting: Sequence[Stage], results: dict[str, StageResult]) -> list[Stage]:
    """Stages whose causes are done, in the order given."""
    return [stage for stage in waiting if all(name in results for name in stage.after)]


def blocked(waiting: Sequence[Stage], results: dict[str, StageResult]) -> list[Stage]:
    """Stages that cannot run because one before them failed or was blocked."""
    lost = {name for name, result in results.items() if result.outcome in ("failed", "blocked")}
    return [stage for stage in waiting if lost.intersection(stage.after)]
