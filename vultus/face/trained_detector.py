"""The landmark detector trained here: a small network that settles on a face in two or three looks.

The network sees a square window, says whether a face fills it, and gives 68 points as the means of 68 heat maps. A face
is found from coarse windows (OpenCV's frontal-face cascade; where it is silent, a grid over the frame) that are moved,
scaled and turned to what was seen, and looked at again; in a video the next frame starts at the last face.
It is trained on the embedded world (`vultus.face.detector_training`): on real faces it is a fallback.

B batch, C channels, M side of a heat map, S side of the window.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from vultus.core.errors import UserError
from vultus.face.alignment import BORDER_GREY, invert_matrix, transform_points
from vultus.face.detection import RGB, Face, Window, keep_distinct

WINDOW_FACTOR = 1.2
"""Side of the network's window in longer sides of the landmarks' box."""

HAAR_FACTOR = 1.35
"""Side of the window in sides of a box of OpenCV's cascade, which reaches from brows to chin."""

ACCEPT = 0.5
LOOKS = 3


class ResidualBlock(nn.Module):
    """conv-BN-ReLU-conv-BN beside a 1x1 shortcut; halves the sides."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = nn.Conv2d(inside, outside, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) -> (B, C', S/2, S/2)."""
        return F.relu(self.body(x) + self.shortcut(x))


class LandmarkNet(nn.Module):
    """Window -> 68 points and the logit of "a face fills this window".

    Down to a sixteenth of the side, then up again to a quarter, where each point has a heat map; its coordinates are
    the mean of the map's softmax (integral regression, Sun et al. 2018), so they are not bound to the grid.

    Args:
        width: channels of the first layer; the deepest has eight times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.quarter = ResidualBlock(width, 2 * width)
        self.eighth = ResidualBlock(2 * width, 4 * width)
        self.sixteenth = ResidualBlock(4 * width, 8 * width)
        self.context = nn.Linear(8 * width, 8 * width)
        self.to_eighth = nn.Conv2d(8 * width, 4 * width, 1)
        self.to_quarter = nn.Conv2d(4 * width, 4 * width, 1)
        self.lateral = nn.Conv2d(2 * width, 4 * width, 1)
        self.maps = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.Conv2d(4 * width, 68, 1),
        )
        self.face = nn.Linear(8 * width, 1)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Look at windows.

        Args:
            window: (B, 3, S, S) in -1..1, S a multiple of 16.

        Returns:
            points (B, 68, 2) in px of the window, and logits (B,).
        """
        quarter = self.quarter(self.stem(window))
        eighth = self.eighth(quarter)
        deep = self.sixteenth(eighth)
        pooled = deep.mean((2, 3))
        deep = deep + self.context(pooled)[..., None, None]
        up = F.interpolate(self.to_eighth(deep), scale_factor=2.0, mode="nearest") + eighth
        up = F.interpolate(self.to_quarter(F.relu(up)), scale_factor=2.0, mode="nearest") + self.lateral(quarter)
        points = soft_argmax(self.maps(up).float()) * 4 + 1.5  # a cell is 4 px wide: cell 0 is centred on px 1.5
        return points, self.face(F.relu(pooled)).float()[:, 0]


def soft_argmax(maps: Tensor) -> Tensor:
    """Mean position under the softmax of each map: (B, K, M, M) -> (B, K, 2), x y in cells."""
    share = maps.flatten(2).softmax(-1).view_as(maps)
    cells = torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    return torch.stack([(share.sum(2) * cells).sum(-1), (share.sum(3) * cells).sum(-1)], dim=-1)


def to_network(windows: npt.NDArray[np.uint8]) -> Tensor:
    """(B, S, S, 3) uint8 RGB -> (B, 3, S, S) float in -1..1, grey 128 becoming 0."""
    return torch.from_numpy(windows).permute(0, 3, 1, 2).float().sub_(128).div_(128)


def cut_window(rgb: RGB, window: Window, size_px: int) -> npt.NDArray[np.uint8]:
    """The window as a (size_px, size_px, 3) picture; a much larger window is averaged down first."""
    import cv2

    matrix = window.matrix(size_px)
    shrink = 2 * size_px / window.side_px
    if shrink < 0.75:
        height, width = (max(2, round(side * shrink)) for side in rgb.shape[:2])
        scale = np.array([rgb.shape[1] / width, rgb.shape[0] / height])
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        # cv2.resize keeps the outer edges: px p of the small picture is (p + 0.5) * scale - 0.5 of the large one.
        offset = matrix[:, :2] @ (0.5 * scale - 0.5) + matrix[:, 2]
        matrix = np.concatenate([matrix[:, :2] * scale, offset[:, None]], axis=1)
    border = (BORDER_GREY, BORDER_GREY, BORDER_GREY)
    cut: npt.NDArray[np.uint8] = cv2.warpAffine(
        rgb, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return cut


class TrainedDetector:
    """Finds faces with a `LandmarkNet` on disk.

    Args:
        folder: with ``weights.safetensors`` and ``config.yaml``, written by the stage ``detector``.

    Raises:
        UserError: the folder holds no trained detector.
    """

    method = "trained"

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        try:
            config = yaml.safe_load((folder / "config.yaml").read_text())
            weights = load_file(folder / "weights.safetensors")
        except FileNotFoundError:
            raise UserError(f"{folder} holds no trained landmark detector: run `dvc repro detector`") from None
        net = LandmarkNet(config["width"])
        net.load_state_dict(weights)
        self._set(net, config["input_px"])

    @classmethod
    def of(cls, net: LandmarkNet, input_px: int) -> TrainedDetector:
        """A detector around a network in memory."""
        detector = cls.__new__(cls)
        detector._set(net, input_px)
        return detector

    def _set(self, net: LandmarkNet, input_px: int) -> None:
        self._net = net.eval()
        self._input_px = input_px
        self._last: Face | None = None

    def detect(self, rgb: RGB) -> list[Face]:
        """Faces of a picture, largest first."""
        return self.settle(rgb, cascade_windows(rgb)) or self.settle(rgb, grid_windows(rgb))

    def track(self, rgb: RGB, first: bool) -> list[Face]:
        """Faces of the next frame of a video, largest first; ``first`` starts a new video.

        While the last face is held, others are not looked for.
        """
        faces: list[Face] = []
        if not first and self._last is not None:
            faces = self.settle(rgb, [Window.around(self._last.landmarks_68, WINDOW_FACTOR)], looks=1)
        faces = faces or self.detect(rgb)
        self._last = faces[0] if faces else None
        return faces

    def settle(self, rgb: RGB, windows: list[Window], looks: int = LOOKS) -> list[Face]:
        """Look at each window, move it to the face that was seen, and look again; keep what is a face at the end."""
        faces: list[Face] = []
        for look in range(looks):
            faces = self._look(rgb, windows)
            if look == 0 and len(faces) > 1:  # the best few; a grid offers many
                faces = sorted(faces, key=lambda face: -face.score)[:8]
            windows = [Window.around(face.landmarks_68, WINDOW_FACTOR) for face in faces]
        return keep_distinct(faces)

    def _look(self, rgb: RGB, windows: list[Window]) -> list[Face]:
        if not windows:
            return []
        cuts = np.stack([cut_window(rgb, window, self._input_px) for window in windows])
        with torch.inference_mode():
            points, logit = self._net(to_network(cuts))
        back = invert_matrix(np.stack([window.matrix(self._input_px) for window in windows]))
        placed = transform_points(back, points.double().numpy()).astype(np.float32)
        scores = logit.sigmoid().tolist()
        return [Face(face, score) for face, score in zip(placed, scores, strict=True) if score >= ACCEPT]


@cache
def _cascade() -> Any:
    import cv2
    from cv2.data import haarcascades

    return cv2.CascadeClassifier(haarcascades + "haarcascade_frontalface_default.xml")


def cascade_windows(rgb: RGB) -> list[Window]:
    """Windows around the boxes of OpenCV's frontal-face cascade; faces down to a tenth of the picture."""
    import cv2

    grey = cv2.equalizeHist(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    smallest = max(24, min(grey.shape) // 10)
    boxes = _cascade().detectMultiScale(grey, 1.1, 4, minSize=(smallest, smallest))
    return [Window((x + w / 2, y + 0.55 * h), HAAR_FACTOR * max(w, h)) for x, y, w, h in boxes]


def grid_windows(rgb: RGB) -> list[Window]:
    """Overlapping windows of three sizes over the whole picture, the largest as wide as its shorter side."""
    height, width = rgb.shape[:2]
    windows = []
    for share in (1.0, 0.7, 0.5):
        side = share * min(height, width)
        centres = [
            np.linspace(side / 2, max(side / 2, extent - side / 2), _steps(extent, side)) for extent in (width, height)
        ]
        windows += [Window((float(x), float(y)), side) for y in centres[1] for x in centres[0]]
    return windows


def _steps(extent: float, side: float) -> int:
    return 1 + int(np.ceil((extent - side) / (0.3 * side) - 1e-6))
