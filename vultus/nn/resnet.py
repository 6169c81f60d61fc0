"""ResNet-50 in plain torch, named as torchvision names it, so that published ImageNet weights load without it.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; the stride of a bottleneck lies in its
3x3 convolution, as in the weights that everybody uses. Input: RGB normalised with `IMAGENET_MEAN` and `IMAGENET_STD`.
"""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FEATURES = 2048
"""Channels after the last stage (pool5)."""

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside an identity, which is projected where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 width, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + identity)


class ResNet50(nn.Module):
    """Up to the global average pool: (B, 3, H, W) -> (B, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for number, (width, blocks) in enumerate(_STAGES, start=1):
            stage = []
            for block in range(blocks):
                stage.append(Bottleneck(inputs, width, stride=2 if block == 0 and number > 1 else 1))
                inputs = _EXPANSION * width
            setattr(self, f"layer{number}", nn.Sequential(*stage))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Features after the average pool."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for number in range(1, len(_STAGES) + 1):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))

    def load_published(self, path: Path | str) -> None:
        """Read ImageNet weights: ``.safetensors``, or a torch checkpoint of tensors alone; the classifier is left out.

        Raises:
            UserError: the file is missing, no such file, or of another network.
        """
        path = Path(path)
        try:
            if path.suffix == ".safetensors":
                weights = safetensors.torch.load_file(path)
            else:
                weights = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"{path} is missing: place the weights of ResNet-50 there or correct the path") from None
        except Exception as error:
            raise UserError(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from None
        own = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            first = " ".join(str(error).splitlines()[1:2]).strip()
            raise UserError(f"{path} holds no weights of ResNet-50 ({first})") from None
