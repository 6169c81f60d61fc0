"""What the data path costs: one more clip, and memory against the number of clips.

    python benchmarks/data_path.py

Writes videos of noise (64 x 64, 24 frames with sound) into a temporary folder, runs the source ``folder``, the
validation and a feature store that keeps every frame, and prints two tables for docs/data.md. Every measurement is a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from vultus.data.media import read_audio, read_frames
from vultus.data.parquet import ClipTables
from vultus.data.sources import DatasetConfig, ingest
from vultus.data.stores import ClipArrays, build_store, content_hash, file_hash
from vultus.data.validation import validate

N_FRAMES, SIZE_PX, FPS, SAMPLE_RATE_HZ = 24, 64, 25, 16_000


def write_clip(path: Path, seed: int) -> None:
    """A video of noise: it compresses badly, as pictures do."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        video.width = video.height = SIZE_PX
        sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for _ in range(N_FRAMES):
            rgb = rng.integers(0, 255, (SIZE_PX, SIZE_PX, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(video.encode(None))
        noise = rng.normal(0, 0.1, (1, N_FRAMES * SAMPLE_RATE_HZ // FPS)).astype(np.float32)
        samples = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


def every_frame(root: Path, clip: Mapping[str, Any]) -> ClipArrays:
    """Keep all frames and the sound's level at each."""
    frames = list(read_frames(root / clip["video"]))
    level = np.abs(read_audio(root / clip["audio"], SAMPLE_RATE_HZ)).mean()
    rows = pd.DataFrame({"frame": [i for i, _, _ in frames], "time_s": [t for _, t, _ in frames]})
    return ClipArrays(rows, {"picture": np.stack([f for _, _, f in frames]), "level": np.full(len(frames), level)})


def measure(root: Path) -> dict[str, float]:
    """Seconds of each step, clips computed, and this process's peak memory in MB; one process, no pool."""
    config = DatasetConfig("folder", str(root))
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> None:
        started = time.perf_counter()
        step()
        seconds[name] = time.perf_counter() - started

    computed = []

    def compute(clip: Mapping[str, Any]) -> ClipArrays:
        computed.append(clip["clip_id"])
        return every_frame(root, clip)

    with contextlib.redirect_stderr(io.StringIO()):
        timed("ingest", lambda: ingest(config, "bench", Path("tables/ingested")))
        timed("validate", lambda: validate(Path("tables/ingested"), Path("tables/valid"), root, "bench", 0.0))
        clips = ClipTables("tables/valid").records()
        key = partial(_key, root)
        timed("store", lambda: build_store("features/bench/frames", clips, compute, key, jobs=1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**seconds, "clips": len(clips), "computed": len(computed), "peak_mb": peak}


def _key(root: Path, clip: Mapping[str, Any]) -> str:
    return content_hash(file_hash(root / clip["video"]))


def in_a_process(folder: Path) -> dict[str, float]:
    """`measure` in a fresh interpreter, in ``folder``."""
    command = [sys.executable, str(Path(__file__).resolve()), "measure"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        for number in range(501):
            write_clip(made / f"{number:04d}.mp4", number)
        results = []
        for n_clips in (50, 500):
            folder = Path(temporary) / str(n_clips)
            (folder / "raw").mkdir(parents=True)
            for number in range(n_clips):
                shutil.copy2(made / f"{number:04d}.mp4", folder / "raw")
            results.append((f"{n_clips} clips, nothing known", in_a_process(folder)))
        results.append(("500 clips, all known", in_a_process(folder)))
        shutil.copy2(made / "0500.mp4", folder / "raw")
        results.append(("500 clips known, one added", in_a_process(folder)))
    print("| run | clips computed | ingest s | validate s | store s | peak memory MB |\n|---|---|---|---|---|---|")
    for name, r in results:
        steps = " | ".join(f"{r[step]:.1f}" for step in ("ingest", "validate", "store"))
        print(f"| {name} | {r['computed']:.0f} | {steps} | {r['peak_mb']:.0f} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        print(json.dumps(measure(Path("raw").resolve())))
    else:
        main()
