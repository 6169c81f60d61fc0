"""How fast faces are drawn, labels included, and how much memory that takes: ``python -m benchmarks.world_rendering``.

Every process draws its own people at 128 x 128, as the data set's writer does; encoding is left out. The goal is 100
frames a second on two cores.
"""

from __future__ import annotations

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from vultus.world.genes import founder
from vultus.world.muscles import AUS
from vultus.world.render import FrameState, render_clip
from vultus.world.scene import random_scene

PEOPLE, CLIPS, FRAMES = 3, 4, 60


@dataclass(frozen=True)
class Timing:
    """Of one process: frames, wall and processor seconds, and peak memory in MB."""

    frames: int
    wall_s: float
    cpu_s: float
    memory_mb: float


def draw(process: int) -> Timing:
    """Draw PEOPLE x CLIPS x FRAMES frames, after one clip that compiles."""
    list(
        render_clip(
            founder(np.random.default_rng(0), "female", 30.0), random_scene(np.random.default_rng(0)), [_state(0)]
        )
    )
    wall, cpu = time.perf_counter(), time.process_time()
    frames = 0
    for number in range(PEOPLE):
        person = founder(np.random.default_rng([process, number]), "female" if number % 2 else "male", 40.0)
        for clip in range(CLIPS):
            scene = random_scene(np.random.default_rng([process, number, clip]))
            frames += sum(1 for _ in render_clip(person, scene, [_state(t) for t in range(FRAMES)]))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Timing(frames, time.perf_counter() - wall, time.process_time() - cpu, memory_mb)


def _state(t: int) -> FrameState:
    wave = np.sin(0.1 * t + np.arange(len(AUS))) * 2
    pose = np.array([0.1 * np.sin(0.07 * t), 0.4 * np.sin(0.05 * t), 0.05, 0, 0, 0])
    return FrameState(np.clip(wave, 0, 5).astype(np.float32), np.array([0.1, 0.0]), pose)


def main() -> None:
    """Print a table for one and for two processes."""
    print(f"{'processes':>9} {'frames':>7} {'frames/s':>9} {'cpu ms/frame':>13} {'MB/process':>11}")
    for processes in (1, 2):
        with ProcessPoolExecutor(processes) as pool:
            timings = list(pool.map(draw, range(processes)))
        frames = sum(t.frames for t in timings)
        rate = frames / max(t.wall_s for t in timings)
        cpu = sum(t.cpu_s for t in timings) / frames * 1e3
        print(f"{processes:9d} {frames:7d} {rate:9.0f} {cpu:13.1f} {max(t.memory_mb for t in timings):11.0f}")


if __name__ == "__main__":
    main()
