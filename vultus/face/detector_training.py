"""Trains the landmark detector on the embedded world's training people and scores it on its test people.

Faces are cut once with some surroundings (the "context") and kept as bytes; every step draws windows on them: moved,
scaled, turned, mirrored, with other light, noise and grey patches, and some windows with no whole face for the score.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from vultus.core.console import track
from vultus.core.errors import UserError
from vultus.core.folders import replaced_folder
from vultus.core.seeds import generator
from vultus.data.media import read_frames
from vultus.data.parquet import ClipTables
from vultus.face.detection import RGB, Window
from vultus.face.landmarks import (
    FLIP_68,
    biocular_distance,
    eye_centres,
    inter_ocular_distance,
    normalised_mean_error,
)
from vultus.face.locate import annotated_points
from vultus.face.trained_detector import WINDOW_FACTOR, LandmarkNet, TrainedDetector, cut_window
from vultus.metrics.landmarks import FAILURE_THRESHOLD

Points = npt.NDArray[np.float32]

CONTEXT_FACTOR = 2.4
CONTEXT_PX = 112
NO_FACE_SHARE = 0.15
LATE_LOOK_SHARE = 0.6


@dataclass(frozen=True)
class DetectorConfig:
    """How the detector is trained (``detector``)."""

    input_px: int = 64
    """Side of the network's window; a multiple of 16."""

    width: int = 16
    """Channels of the first layer."""

    train_frames: int = 4000
    """Frames of training people."""

    test_frames: int = 600
    """Frames of test people that are scored."""

    frames_per_clip: int = 12
    """Frames taken from one clip, evenly spaced."""

    steps: int = 700
    """Optimiser steps."""

    batch_size: int = 64
    """Windows a step."""

    learning_rate: float = 6e-3
    """Peak of the one-cycle schedule."""

    def __post_init__(self) -> None:
        if self.input_px % 16 or self.input_px < 32:
            raise ValueError(f"input_px must be a multiple of 16 and at least 32, not {self.input_px}")


@dataclass(frozen=True)
class Sample:
    """An annotated frame."""

    rgb: RGB
    landmarks_68: Points
    occluded: bool


def train_detector(folder: Path, tables: ClipTables, root: Path, config: DetectorConfig, seed: int) -> dict[str, Any]:
    """Train, score and write ``weights.safetensors``, ``config.yaml``, ``metrics.json`` into ``folder``.

    Args:
        folder: of the detector.
        tables: valid tables of the embedded world.
        root: of its media.
        config: ``detector``.
        seed: of the experiment.

    Returns:
        The metrics; see `score_detector`.

    Raises:
        UserError: a group has no annotated frame.
    """
    from safetensors.torch import save_file

    contexts, landmarks = gather_contexts(annotated_samples(tables, root, "train", config.train_frames, config, seed))
    net = fit(contexts, landmarks, config, seed)
    detector = TrainedDetector.of(net, config.input_px)
    tests = annotated_samples(tables, root, "test", config.test_frames, config, seed)
    metrics = score_detector(detector, tests, config.test_frames)
    metrics |= {"train_frames": len(contexts), "parameters": sum(p.numel() for p in net.parameters())}
    with replaced_folder(folder) as out:
        weights = {name: value.contiguous() for name, value in net.state_dict().items()}
        save_file(weights, out / "weights.safetensors")
        (out / "config.yaml").write_text(yaml.safe_dump(asdict(config) | {"seed": seed}, sort_keys=False))
        (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def annotated_samples(
    tables: ClipTables, root: Path, group: str, count: int, config: DetectorConfig, seed: int
) -> Iterator[Sample]:
    """Up to ``count`` frames with all 68 points, from clips of a group in an order drawn by the seed.

    Raises:
        UserError: the group has none.
    """
    clips = [clip for clip in tables.records() if clip["group"] == group and clip["video"] is not None]
    order = generator(seed, "detector", group).permutation(len(clips))
    given = 0
    for at in order:
        clip = clips[at]
        frames = tables.frames(clip["clip_id"], ["landmarks_68", "landmark_visible", "occluded"])
        points, _ = annotated_points(frames)
        whole = np.flatnonzero(np.isfinite(points).all((1, 2)))
        if not len(whole):
            continue
        take = np.unique(np.linspace(0, len(whole) - 1, config.frames_per_clip).round().astype(int))
        chosen = {int(frames["frame"][int(k)].as_py()): int(k) for k in whole[take][: count - given]}
        occluded = frames["occluded"].to_pylist()
        for frame, _, rgb in read_frames(root / clip["video"], list(chosen)):
            k = chosen[frame]
            yield Sample(rgb, points[k], bool(occluded[k]))
            given += 1
        if given >= count:
            return
    if not given:
        raise UserError(f"no frame of the group {group!r} has all 68 landmarks: the detector needs the embedded world")


def gather_contexts(samples: Iterator[Sample]) -> tuple[Tensor, Tensor]:
    """Cut each face with its surroundings: (N, 3, 112, 112) uint8 and its landmarks there, (N, 68, 2)."""
    cuts, points = [], []
    for sample in samples:
        window = Window.around(sample.landmarks_68, CONTEXT_FACTOR)
        window = Window(window.centre, window.side_px)  # level: heads keep their turn
        matrix = window.matrix(CONTEXT_PX)
        cuts.append(cut_window(sample.rgb, window, CONTEXT_PX))
        points.append(sample.landmarks_68 @ matrix[:, :2].T + matrix[:, 2])
    contexts = torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2).contiguous()
    return contexts, torch.from_numpy(np.stack(points)).float()


def fit(contexts: Tensor, landmarks: Tensor, config: DetectorConfig, seed: int) -> LandmarkNet:
    """Minimise the normalised point error of face windows plus the cross entropy of "a face fills the window"."""
    torch.manual_seed(int(generator(seed, "detector", "weights").integers(2**31)))
    net = LandmarkNet(config.width)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, config.steps, pct_start=0.15)
    rng = generator(seed, "detector", "windows")
    net.train()
    for _ in track(range(config.steps), "training the landmark detector", total=config.steps):
        windows, targets, is_face = draw_windows(contexts, landmarks, config, rng)
        points, logit = net(windows.contiguous(memory_format=torch.channels_last))
        points, targets = points[is_face], targets[is_face]
        error = normalised_mean_error(points, targets, biocular_distance(targets)).mean()
        loss = error + 0.1 * F.binary_cross_entropy_with_logits(logit, is_face.float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    net.eval()
    return net


def draw_windows(
    contexts: Tensor, landmarks: Tensor, config: DetectorConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One batch of augmented windows.

    Returns:
        windows (B, 3, S, S) in -1..1, landmarks (B, 68, 2) in px of the window, and which are faces, (B,) bool.
    """
    count, size = config.batch_size, config.input_px
    index = torch.from_numpy(rng.integers(len(contexts), size=count))
    points = landmarks[index]
    is_face = torch.from_numpy(rng.random(count) >= NO_FACE_SHARE)

    low, high = points.amin(1), points.amax(1)
    left, right = eye_centres(points)
    roll = torch.atan2(right[:, 1] - left[:, 1], right[:, 0] - left[:, 0])
    side = (high - low).amax(1) * WINDOW_FACTOR
    # First looks are level and coarse, later ones turned with the head and close.
    late = torch.from_numpy(rng.random(count) < LATE_LOOK_SHARE)
    spread = torch.where(late, 0.3, 1.0)
    roll = roll * late + _uniform(rng, -0.3, 0.3, count) * spread
    face_side = side * torch.exp(_uniform(rng, -0.3, 0.35, count) * spread)
    face_shift = _uniform(rng, -0.17, 0.17, (count, 2)) * (face_side * spread)[:, None]
    # No face: a window far beside it, on a part of it, or one in which it is small.
    angle = _uniform(rng, 0, 2 * np.pi, count)
    far = torch.stack([angle.cos(), angle.sin()], -1) * (_uniform(rng, 0.5, 0.8, count) * side)[:, None]
    kind = torch.from_numpy(rng.integers(0, 3, count))
    other_side = side * torch.tensor([1.0, 0.4, 2.6])[kind] * torch.exp(_uniform(rng, -0.2, 0.2, count))
    other_shift = far * torch.tensor([1.0, 0.5, 0.3])[kind][:, None]
    side = torch.where(is_face, face_side, other_side)
    centre = (low + high) / 2 + torch.where(is_face[:, None], face_shift, other_shift)

    cosine, sine = roll.cos(), roll.sin()
    turn = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    scale = side / (size - 1)
    cells = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    grid = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), -1).reshape(1, -1, 2)
    at = (grid * scale[:, None, None]) @ turn.transpose(1, 2) + centre[:, None]
    at = at.reshape(count, size, size, 2) * (2 / (CONTEXT_PX - 1)) - 1
    pixels = contexts[index].float().sub_(128).div_(128)
    windows = F.grid_sample(pixels, at, mode="bilinear", padding_mode="zeros", align_corners=True)
    targets = ((points - centre[:, None]) @ turn) / scale[:, None, None] + (size - 1) / 2

    mirrored = torch.from_numpy(rng.random(count) < 0.5)
    windows = torch.where(mirrored[:, None, None, None], windows.flip(-1), windows)
    flipped = targets[:, torch.from_numpy(FLIP_68)] * torch.tensor([-1.0, 1.0]) + torch.tensor([size - 1.0, 0.0])
    return _disturb(windows, rng), torch.where(mirrored[:, None, None], flipped, targets), is_face


def _disturb(windows: Tensor, rng: np.random.Generator) -> Tensor:
    """Other light and colour, noise, and on a third of the windows a flat patch that hides a part."""
    count, size = windows.shape[0], windows.shape[-1]
    gain = torch.exp(_uniform(rng, -0.3, 0.3, (count, 3, 1, 1)) * 0.4 + _uniform(rng, -0.4, 0.4, (count, 1, 1, 1)))
    windows = windows * gain + _uniform(rng, -0.25, 0.25, (count, 1, 1, 1))
    grey = torch.from_numpy(rng.random(count) < 0.15)[:, None, None, None]
    windows = torch.where(grey, windows.mean(1, keepdim=True), windows)
    noise = torch.from_numpy(rng.standard_normal(windows.shape, dtype=np.float32))
    windows = windows + noise * _uniform(rng, 0, 0.06, (count, 1, 1, 1))
    cells = torch.arange(size)
    corner = _uniform(rng, -0.3, 0.9, (count, 2)) * size
    extent = _uniform(rng, 0.1, 0.45, (count, 2)) * size
    inside = (cells >= corner[..., None]) & (cells < (corner + extent)[..., None])
    hidden = inside[:, 0, None, None, :] & inside[:, 1, None, :, None]
    hidden &= torch.from_numpy(rng.random(count) < 0.33)[:, None, None, None]
    return torch.where(hidden, _uniform(rng, -1, 1, (count, 3, 1, 1)), windows).clamp(-1, 1)


def _uniform(rng: np.random.Generator, low: float, high: float, shape: int | tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def score_detector(detector: TrainedDetector, samples: Iterator[Sample], total: int) -> dict[str, Any]:
    """Detect faces in whole frames and compare with the exact points.

    Returns:
        ``NME``: mean error of the found faces as a share of the distance of the eye centres; ``NME_interocular``: the
        same by the outer eye corners; ``FailureRate``: share of frames whose error is above 0.10 or whose face is not
        found; ``FoundRate``; ``n`` frames. The largest face counts, as in the stage. Names that end in ``_occluded``
        are of the occluded frames alone; None where there are none.
    """
    rows = []
    for sample in track(samples, "scoring the landmark detector", total=total):
        target = sample.landmarks_68
        faces = detector.detect(sample.rgb)
        found = faces[0].landmarks_68 if faces else np.full_like(target, np.nan)
        distances = (biocular_distance(target), inter_ocular_distance(target))
        rows.append([sample.occluded, *(normalised_mean_error(found, target, d) for d in distances)])
    table = np.array(rows, np.float64)
    metrics: dict[str, Any] = {}
    for suffix, part in (("", table), ("_occluded", table[table[:, 0] > 0])):
        errors = part[:, 1]
        known = np.isfinite(errors)
        metrics |= {
            f"NME{suffix}": float(errors[known].mean()) if known.any() else None,
            f"NME_interocular{suffix}": float(part[known, 2].mean()) if known.any() else None,
            f"FailureRate{suffix}": float((~(errors <= FAILURE_THRESHOLD)).mean()) if len(part) else None,
            f"FoundRate{suffix}": float(known.mean()) if len(part) else None,
            f"n{suffix}": len(part),
        }
    return metrics
