"""What the face judges share: how a face becomes their input, the random views that teach them, a network with points.

Shapes: B faces, S side of the stored face, s side of the network's input, K = 68 landmarks, m = s / 4 cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.face.landmarks import biocular_distance, flip_permutation

N_POINTS = 68
TYPICAL_EYES = 0.4
"""Distance of the eyes as a share of the side, for faces whose eyes have no known landmarks."""
PART = 256
"""Faces that a trained judge sees at a time."""


@dataclass(frozen=True)
class ViewConfig:
    """How far the random views of a teaching face go; 0 switches a change off."""

    turn_rad: float = 0.25
    """Largest turn in the image plane."""
    scale: float = 0.15
    """Largest change of size, as a share."""
    shift: float = 0.06
    """Largest shift, as a share of the side."""
    light: float = 0.35
    """Deviation of the logarithm of exposure; half of it for contrast and for each colour."""
    blur_px: float = 1.0
    """Largest deviation of a Gaussian blur of the input, px; half of the faces have none."""
    noise: float = 0.06
    """Largest deviation of the noise, where the picture spans -1..1."""
    patch: float = 0.35
    """Largest side of a grey patch over the face, as a share; half of the faces have none."""
    flip: bool = True


def to_input(face: Tensor, side: int) -> Tensor:
    """Stored faces as network input.

    Args:
        face: (B, S, S, 3) uint8 RGB.
        side: s.

    Returns:
        (B, 3, s, s) float32 in -1..1.

    Raises:
        ValueError: not square RGB faces of bytes.
    """
    if face.ndim != 4 or face.shape[1] != face.shape[2] or face.shape[3] != 3 or face.dtype != torch.uint8:
        raise ValueError(f"expected (B, S, S, 3) uint8 faces, got {tuple(face.shape)} {face.dtype}")
    picture = face.permute(0, 3, 1, 2).float() / 127.5 - 1
    if picture.shape[-1] == side:
        return picture
    resized: Tensor = functional.interpolate(
        picture, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )
    return resized


def random_views(
    face: Tensor, landmarks: Tensor, side: int, config: ViewConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Turned, moved, mirrored, relit and damaged views of faces, with their landmarks.

    Args:
        face: (B, S, S, 3) uint8 RGB.
        landmarks: (B, K, 2) px of the stored face; NaN where unknown.
        side: s.
        config: how far the views go.
        rng: of this batch alone.

    Returns:
        input (B, 3, s, s) float32 around -1..1, landmarks (B, K, 2) float32 in 0..1 of the side (pixel edges).
    """
    n, stored = len(face), face.shape[1]
    turn = rng.uniform(-config.turn_rad, config.turn_rad, n)
    scale = np.exp(rng.uniform(-config.scale, config.scale, n))
    shift = rng.uniform(-config.shift, config.shift, (n, 2)) * 2
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if config.flip else np.ones(n)
    # output place -> place in the stored face, both in -1..1
    cosine, sine = np.cos(turn) / scale, np.sin(turn) / scale
    matrix = np.stack([cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]], axis=1)
    inverse = torch.from_numpy(matrix.reshape(n, 2, 3).astype(np.float32))
    grid = functional.affine_grid(inverse, [n, 3, side, side], align_corners=False)
    picture = face.permute(0, 3, 1, 2).float() / 127.5 - 1
    view = functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
    placed = (landmarks.float() + 0.5) * (2 / stored) - 1 - inverse[:, None, :, 2]
    placed = placed @ torch.linalg.inv(inverse[:, :, :2]).transpose(1, 2)
    mirrored = torch.from_numpy(mirror < 0)[:, None, None]
    placed = torch.where(mirrored, placed[:, flip_permutation(landmarks.shape[1])], placed)
    return _damaged(_relit(view, config, rng), config, rng), (placed + 1) / 2


def _relit(view: Tensor, config: ViewConfig, rng: np.random.Generator) -> Tensor:
    n = len(view)
    gain = np.exp(rng.normal(0, config.light, (n, 1)) + rng.normal(0, config.light / 2, (n, 3)))
    power = np.exp(rng.normal(0, config.light / 2, n))
    gain_t, power_t = (torch.from_numpy(values.astype(np.float32)) for values in (gain, power))
    light = ((view + 1) / 2).clamp(1e-3, 1) * gain_t[:, :, None, None]
    return light.clamp(max=1).pow(power_t[:, None, None, None]) * 2 - 1


def _damaged(view: Tensor, config: ViewConfig, rng: np.random.Generator) -> Tensor:
    n, side = len(view), view.shape[-1]
    sigma = rng.uniform(0.3, max(config.blur_px, 0.3), n) * (rng.random(n) < 0.5) * (config.blur_px > 0)
    view = gaussian_blur(view, torch.from_numpy(sigma.astype(np.float32)))
    amount = torch.from_numpy((rng.random(n) * config.noise).astype(np.float32))[:, None, None, None]
    view = view + amount * torch.from_numpy(rng.standard_normal(view.shape, dtype=np.float32))
    if config.patch:
        half = rng.uniform(0.1, max(config.patch, 0.1), (n, 2)) / 2 * (rng.random((n, 1)) < 0.5)
        centre, grey = rng.uniform(0, 1, (n, 2)), torch.from_numpy(rng.uniform(-1, 1, n).astype(np.float32))
        place = (np.arange(side) + 0.5) / side
        across, down = (np.abs(place - centre[:, i : i + 1]) < half[:, i : i + 1] for i in range(2))
        hidden = torch.from_numpy(down[:, :, None] & across[:, None, :])[:, None]
        view = torch.where(hidden, grey[:, None, None, None], view)
    return view


def gaussian_blur(picture: Tensor, sigma_px: Tensor) -> Tensor:
    """Each picture (B, C, H, W) blurred by its own deviation (B,) px, 0 = as it is; the border is repeated."""
    largest = float(sigma_px.max())
    radius = max(1, round(3 * largest))
    offset = torch.arange(-radius, radius + 1, dtype=picture.dtype)
    kernel = torch.exp(-0.5 * (offset / sigma_px.clamp(min=1e-3)[:, None]).square())
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    n, channels, height, width = picture.shape
    stacked = picture.reshape(1, n * channels, height, width)
    weight = kernel.repeat_interleave(channels, dim=0)[:, None]
    for vertical in (True, False):
        padding = (0, 0, radius, radius) if vertical else (radius, radius, 0, 0)
        shaped = weight[..., None] if vertical else weight[:, :, None]
        stacked = functional.conv2d(functional.pad(stacked, padding, mode="replicate"), shaped, groups=n * channels)
    return stacked.reshape(n, channels, height, width)


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut: (B, i, H, W) -> (B, o, H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        inner = functional.relu(self.first_norm(self.first(x)))
        total: Tensor = functional.relu(self.second_norm(self.second(inner)) + self.shortcut(x))
        return total


def stem(width: int) -> nn.Sequential:
    """Two strided convolutions: (B, 3, s, s) -> (B, width, s / 4, s / 4)."""
    return nn.Sequential(
        nn.Conv2d(3, width // 2, 3, 2, 1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU(),
        nn.Conv2d(width // 2, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    )  # fmt: skip


class PointNetwork(nn.Module):
    """Landmarks from heat maps, then answers from what lies at the landmarks.

    A small residual network keeps a map of m x m cells, put together from three resolutions. From it K heat maps give
    the landmarks, as the mean place under each map's softmax (Sun et al., "Integral Human Pose Regression", ECCV 2018).
    The map is then read at those landmarks, and what is found there, the shape that the points make, and the pooled
    coarse map give the answers.
    """

    def __init__(self, width: int, point_channels: int, hidden: int, dropout: float, n_answers: int) -> None:
        """Build it.

        Args:
            width: channels of the map.
            point_channels: numbers that are read from the map at each landmark.
            hidden: units of the layer before the answers.
            dropout: before and after that layer.
            n_answers: A.
        """
        super().__init__()
        w = width
        self.stem = stem(w)
        self.fine, self.middle, self.coarse = Residual(w, w), Residual(w, 2 * w, 2), Residual(2 * w, 5 * w // 2, 2)
        self.from_fine = nn.Conv2d(w, w, 1)
        self.from_middle, self.from_coarse = nn.Conv2d(2 * w, w, 1), nn.Conv2d(5 * w // 2, w, 1)
        self.smooth = nn.Sequential(nn.Conv2d(w, w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU())
        self.heat = nn.Conv2d(w, N_POINTS, 1)
        self.local = nn.Conv2d(w, point_channels, 1)
        n_features = 4 * (5 * w // 2) + N_POINTS * (point_channels + 2)
        self.answer = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(n_features, hidden), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(hidden, n_answers),
        )  # fmt: skip

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, s, s) -> landmarks (B, K, 2) in 0..1 of the side, answers (B, A); s is a multiple of 16."""
        fine = self.fine(self.stem(image))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        merged = self.from_middle(middle) + _doubled(self.from_coarse(coarse))
        cells = self.smooth(self.from_fine(fine) + _doubled(merged))
        points = mean_places(self.heat(cells).float())
        # the answers must not bend the points towards what helps them: they are measured as landmarks
        at = points.detach()
        found = functional.grid_sample(self.local(cells).float(), at[:, :, None] * 2 - 1, align_corners=False)
        centred = at - at.mean(dim=1, keepdim=True)
        shape = centred / (centred.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-6)
        pooled = functional.adaptive_avg_pool2d(coarse, 2)
        answer = self.answer(torch.cat([pooled.flatten(1).float(), found.flatten(1), shape.flatten(1)], dim=1))
        return points, answer.float()


def mean_places(heat: Tensor) -> Tensor:
    """The mean place under the softmax of each map: (B, K, m, m) -> (B, K, 2) x and y in 0..1 of the side."""
    n, k, height, width = heat.shape
    share = heat.flatten(2).softmax(dim=2).reshape(n, k, height, width)
    across, down = ((torch.arange(size, device=heat.device) + 0.5) / size for size in (width, height))
    return torch.stack([(share.sum(2) * across).sum(2), (share.sum(3) * down).sum(2)], dim=2)


def _doubled(x: Tensor) -> Tensor:
    larger: Tensor = functional.interpolate(x, scale_factor=2, mode="nearest")
    return larger


def eye_share(landmarks: Tensor, stored: int) -> Tensor:
    """Distance of the outer eye corners (B,) as a share of the side; `TYPICAL_EYES` where they are unknown.

    Args:
        landmarks: (B, K, 2) px of the stored face.
        stored: S.
    """
    eyes = biocular_distance(landmarks.double().numpy()) / stored
    return torch.from_numpy(np.nan_to_num(eyes, nan=TYPICAL_EYES).astype(np.float32))


def landmark_distance(points: Tensor, landmarks: Tensor, biocular: Tensor) -> Tensor:
    """Mean distance of found from true landmarks as a share of the eye distance, a scalar; unknown ones count 0.

    Args:
        points: (B, K, 2) of `PointNetwork`.
        landmarks: (B, K, 2) in the same unit, NaN where unknown.
        biocular: (B,) of `eye_share`.
    """
    gap = torch.where(~landmarks.isnan(), points - landmarks.nan_to_num(), 0)
    return ((gap.square().sum(dim=2) + 1e-8).sqrt().mean(dim=1) / biocular).mean()


def in_parts(network: nn.Module, face: npt.NDArray[np.uint8] | Tensor, side: int) -> list[Tensor]:
    """Run a network over many faces, a few hundred at a time, without gradients; the parts are joined again.

    Args:
        network: takes (b, 3, s, s) in -1..1; returns a tensor or several, first axis b.
        face: (N, S, S, 3) uint8 RGB, N at least 1.
        side: s.

    Returns:
        the tensors that the network returns, first axis N, on the CPU.
    """
    faces = face if isinstance(face, Tensor) else torch.from_numpy(np.array(face))
    device = next(network.parameters()).device
    with torch.inference_mode():
        starts = range(0, len(faces), PART)
        answers = [network(to_input(faces[at : at + PART].to(device), side)) for at in starts]
    tuples = [answer if isinstance(answer, tuple) else (answer,) for answer in answers]
    return [torch.cat(parts).cpu() for parts in zip(*tuples, strict=True)]


def draw_rows(
    clips: pd.DataFrame, share: Mapping[str, float], rng: np.random.Generator, n: int
) -> npt.NDArray[np.int64]:
    """Rows of the store, drawn so that each kind of clip has its share and each clip of a kind counts alike.

    Args:
        clips: columns kind, start and stop, as `JudgeFold.clips` gives them.
        share: of each kind; kinds that no clip has are left out.
        rng: of this batch alone.
        n: how many rows.

    Returns:
        (n,) int64.
    """
    kind = clips["kind"].to_numpy()
    weight = np.zeros(len(clips))
    for name, part in share.items():
        weight[kind == name] = part / max(1, int((kind == name).sum()))
    chosen = rng.choice(len(clips), n, p=weight / weight.sum())
    start, stop = (clips[column].to_numpy(np.int64)[chosen] for column in ("start", "stop"))
    return np.asarray(start + (rng.random(n) * (stop - start)).astype(np.int64))


def some_rows(rows: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` evenly spaced rows."""
    return rows[:: max(1, -(-len(rows) // limit))]
