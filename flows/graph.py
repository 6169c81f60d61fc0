"""The stages of ``dvc.yaml`` as a graph: what waits for what, what is asked for, and what is no longer current."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stage:
    """A stage of a DVC pipeline.

    Attributes:
        name: as on DVC's command line in the root of the repository.
        after: the stages it reads from.
        resources: ``cpu`` or ``gpu``: where it runs.
        portable: all that it reads from other stages, and all that it writes, goes through DVC's cache, so that
            another checkout can run it.
    """

    name: str
    after: tuple[str, ...]
    resources: str
    portable: bool = True


def read_graph(root: Path, pipeline: str = "dvc.yaml") -> list[Stage]:
    """The stages of a pipeline and all that they read from, generation by generation: causes before effects.

    Args:
        root: the repository.
        pipeline: ``dvc.yaml``, or another pipeline such as ``claims/dvc.yaml`` with the stages it builds on.
    """
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        graph = repo.index.graph  # an edge points from a stage to one that it reads from
        own = [stage for stage in graph if Path(stage.path) == root.resolve() / pipeline]
        needed = set(own).union(*(networkx.descendants(graph, stage) for stage in own))
        uncached = {out.fs_path for stage in graph for out in stage.outs if not out.use_cache}
        return [
            Stage(
                name=_address(stage, root),
                after=tuple(sorted(_address(before, root) for before in graph.successors(stage))),
                resources=str((stage.meta or {}).get("resources", "cpu")),
                portable=uncached.isdisjoint(item.fs_path for item in [*stage.deps, *stage.outs]),
            )
            for generation in networkx.topological_generations(graph.subgraph(needed).reverse())
            for stage in sorted(generation, key=lambda stage: _address(stage, root))
        ]


def _address(stage: Any, root: Path) -> str:
    """What DVC calls the stage when it is started in ``root``, wherever this process was started."""
    file = Path(stage.path).relative_to(root.resolve())
    return str(stage.name) if file == Path("dvc.yaml") else f"{file}:{stage.name}"


def matching(stages: Sequence[Stage], targets: Collection[str]) -> set[str]:
    """Names of the stages that the targets mean: a stage (``train@S``) or all of a group (``train``).

    Raises:
        ValueError: a target that means nothing.
    """
    found: set[str] = set()
    for target in targets:
        names = {stage.name for stage in stages if stage.name == target or stage.name.startswith(f"{target}@")}
        if not names:
            raise ValueError(f"no stage is called {target!r}; `dvc stage list` names them")
        found |= names
    return found


def with_causes(stages: Sequence[Stage], names: Collection[str]) -> list[Stage]:
    """The named stages and all that they read from, in the order of ``stages``: causes before effects."""
    needed = set(names)
    for stage in reversed(stages):
        if stage.name in needed:
            needed.update(stage.after)
    return [stage for stage in stages if stage.name in needed]


def with_followers(stages: Sequence[Stage], changed: Collection[str]) -> set[str]:
    """The changed stages and all that follow from them; ``stages`` has causes before effects."""
    stale = set(changed)
    for stage in stages:
        if stale.intersection(stage.after):
            stale.add(stage.name)
    return stale


def changed_stages(root: Path, names: Sequence[str]) -> set[str]:
    """Stages that DVC would run if nothing before them changed.

    Raises:
        RuntimeError: DVC cannot read the pipeline; with its words.
    """
    # Of all stages at once: to name them costs DVC a quarter of a second each.
    command = ["dvc", "--wait-for-lock", "status", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"dvc status failed:\n{done.stderr.strip()}")
    changed = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    return changed.keys() & set(names)


def output_paths(root: Path) -> set[Path]:
    """Everything that stages write, as absolute paths."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return {Path(out.fs_path) for out in repo.index.outs}
