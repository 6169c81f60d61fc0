"""How much processor time the head takes: topology, a person, a frame. Run by hand: python -m benchmarks.head"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from vultus.world import genes, head
from vultus.world.muscles import AUS, Rig, deform
from vultus.world.raster import vertex_normals


def _milliseconds(action: Callable[[], object], repeats: int) -> float:
    action()
    start = time.process_time()
    for _ in range(repeats):
        action()
    return 1e3 * (time.process_time() - start) / repeats


def main() -> None:
    """Print a table of one line a step."""
    start = time.process_time()
    topology = head.topology()
    built = time.process_time() - start
    person = genes.founder(np.random.default_rng(0), "female", 30)
    shape = head.person_shape(person)
    rng = np.random.default_rng(1)
    intensity = (rng.uniform(0, 5, len(AUS)) * (rng.random(len(AUS)) < 0.4)).astype(np.float32)
    vertices = deform(shape, intensity)
    rows = (
        ("topology, once a process", 1e3 * built),
        ("person_shape", _milliseconds(lambda: head.person_shape(person), 10)),
        ("Rig, once a person", _milliseconds(lambda: Rig(shape), 10)),
        ("deform, a frame", _milliseconds(lambda: deform(shape, intensity, (0.1, 0.1)), 500)),
        ("vertex normals, a frame", _milliseconds(lambda: vertex_normals(vertices, topology.triangles), 200)),
    )
    print(f"{len(vertices)} vertices, {len(topology.triangles)} triangles")
    for name, milliseconds in rows:
        print(f"{name:28s} {milliseconds:9.2f} ms")


if __name__ == "__main__":
    main()
