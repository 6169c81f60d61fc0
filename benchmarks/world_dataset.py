"""How fast the embedded world is recorded: ``python -m benchmarks.world_dataset``

Three tables: what one frame costs and where, on one core; what the whole data set costs on two; what one more clip
costs in a data set that is already there.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import tempfile
import time
from pathlib import Path

from vultus.data.clips import write_clip
from vultus.world import dataset, directing, population
from vultus.world.population import PerGroup, WorldConfig

_PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def main() -> None:
    """Run the benchmarks and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--clips", type=int, default=6)
    arguments = parser.parse_args()
    config = WorldConfig(
        people=PerGroup(train=arguments.people),
        extra_people=PerGroup(),
        families=PerGroup(),
        spontaneous_clips=PerGroup(train=arguments.clips),
        speech_clips=PerGroup(train=1),
        posed_takes=PerGroup(),
        utterance_people=PerGroup(),
        tongue_sentences=PerGroup(),
    )
    one_core(config)
    whole(config)


def one_core(config: WorldConfig) -> None:
    """Cost of directing, rendering with labels, and encoding, after the first (compiling) clip."""
    spent = dict.fromkeys(("directing", "rendering and labels", "encoding"), 0.0)
    frames = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, clip_id in enumerate(population.clip_ids(config)[:24]):
            begin = time.process_time()
            take = directing.direct(config, 1, population.plan_clip(config, clip_id))
            directed = time.process_time()
            pictures = [frame.rgb for frame in take.frames()]
            rendered = time.process_time()
            write_clip(Path(folder) / f"{number}.mp4", pictures, take.plan.fps)
            encoded = time.process_time()
            if number:
                frames += len(pictures)
                spent["directing"] += directed - begin
                spent["rendering and labels"] += rendered - directed
                spent["encoding"] += encoded - rendered
    print(f"one core, {config.size_px} x {config.size_px} px, {frames} frames, CPU seconds")
    print(f"{'':24}{'ms a frame':>12}{'frames/s':>12}")
    for name, seconds in spent.items():
        print(f"{name:24}{1000 * seconds / frames:12.2f}{frames / seconds:12.0f}")
    print(
        f"{'two cores, no encoding':24}{'':12}{2 * frames / (spent['directing'] + spent['rendering and labels']):12.0f}"
    )


def whole(config: WorldConfig) -> None:
    """Wall time of the writer: everything, one clip more a person, nothing new; and the largest process's memory."""
    print(f"\nwhole data set, {config.processes} processes, wall seconds")
    print(f"{'':24}{'clips':>8}{'recorded':>10}{'seconds':>10}{'frames/s':>10}{'MiB peak':>10}")
    more = dataclasses.replace(config, spontaneous_clips=PerGroup(train=config.spontaneous_clips.train + 1))
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in (("first run", config), ("one clip more a person", more), ("nothing new", more)):
            begin = time.perf_counter()
            written = dataset.write_world(settings, 1, Path(folder) / "world", Path(folder) / "cache")
            seconds = time.perf_counter() - begin
            peak = max(resource.getrusage(who).ru_maxrss for who in _PROCESSES) / 1024
            frames = written.frames * written.recorded / written.clips
            print(f"{name:24}{written.clips:8}{written.recorded:10}{seconds:10.1f}{frames / seconds:10.0f}{peak:10.0f}")


if __name__ == "__main__":
    main()
