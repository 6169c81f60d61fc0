"""The network of the public SyncNet, in the layout of its published weights.

Chung and Zisserman, Out of time: automated lip sync in the wild, ACCV workshops 2016; the tool syncnet_python, whose
network (taught on whole faces) gives the LSE-C and LSE-D of talking face papers. The names of the parts are those of
its state dictionary. Pictures are RGB here and become what it learnt from: 224 px, blue first, 0..255.

Legend: T frames, N = T - 5 windows of five frames, as the tool counts them, S side of the stored face.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from vultus.core.errors import UserError
from vultus.judges.published import read_tensors

SIDE_PX = 224
EMBEDDING = 1024


class PublishedSyncNet(nn.Module):
    """Two towers that end in 1024 numbers, neither normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_block2d(1, 64, 3, padding=1), nn.MaxPool2d(1),
            *_block2d(64, 192, 3, padding=1), nn.MaxPool2d(3, stride=(1, 2)),
            *_block2d(192, 384, 3, padding=1),
            *_block2d(384, 256, 3, padding=1),
            *_block2d(256, 256, 3, padding=1), nn.MaxPool2d(3, stride=2),
            *_block2d(256, 512, (5, 4)),
        )  # fmt: skip
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_block3d(3, 96, (5, 7, 7), stride=2), _pool3d(),
            *_block3d(96, 256, (1, 5, 5), stride=2, padding=1), _pool3d(padding=1),
            *_block3d(256, 256, (1, 3, 3), padding=1),
            *_block3d(256, 256, (1, 3, 3), padding=1),
            *_block3d(256, 256, (1, 3, 3), padding=1), _pool3d(),
            *_block3d(256, 512, (1, 6, 6)),
        )  # fmt: skip

    def see(self, windows: Tensor) -> Tensor:
        """Five pictures (N, 5, S, S, 3) RGB in 0..255 to (N, 1024)."""
        count, length, side = windows.shape[:3]
        pictures = windows.flip(-1).permute(0, 1, 4, 2, 3).float()
        if side != SIDE_PX:
            flat = pictures.reshape(count * length, 3, side, side)
            flat = functional.interpolate(flat, size=(SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)
            pictures = flat.reshape(count, length, 3, SIDE_PX, SIDE_PX)
        embedding: Tensor = self.netfclip(self.netcnnlip(pictures.transpose(1, 2)).flatten(1))
        return embedding

    def hear(self, windows: Tensor) -> Tensor:
        """Twenty MFCC frames (N, 20, 13), log energy first, to (N, 1024)."""
        embedding: Tensor = self.netfcaud(self.netcnnaud(windows.transpose(1, 2)[:, None]).flatten(1))
        return embedding

    def load_weights(self, path: Path) -> None:
        """Take a state dictionary (the tool's ``.model`` file, renamed to ``.pth``, or safetensors).

        Raises:
            UserError: the file is missing or holds another network.
        """
        try:
            self.load_state_dict(read_tensors(path))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise UserError(f"{path} does not hold SyncNet's published weights: {reason}") from None


def _block2d(channels: int, width: int, kernel: int | tuple[int, int], padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, kernel, padding=padding), nn.BatchNorm2d(width), nn.ReLU()]


def _block3d(
    channels: int, width: int, kernel: tuple[int, int, int], stride: int = 1, padding: int = 0
) -> list[nn.Module]:
    convolution = nn.Conv3d(channels, width, kernel, stride=(1, stride, stride), padding=(0, padding, padding))
    return [convolution, nn.BatchNorm3d(width), nn.ReLU()]


def _pool3d(padding: int = 0) -> nn.Module:
    return nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, padding, padding))


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))
