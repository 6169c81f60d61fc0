"""Feature networks whose published weights the judges can take, in the layouts in which they are published.

LPIPS (Zhang et al. 2018, version 0.1) looks through AlexNet or VGG16 as torchvision lays them out, with names such as
``features.0.weight`` (within a whole LPIPS model ``net.slice1.0.weight``: the number is the same), and weighs the
channels of five stages with ``lin0.model.1.weight`` ... of shape (1, C, 1, 1). Weights are read from a safetensors
file, from a checkpoint that holds tensors alone, or from a folder in which such files lie together.

The Inception network of FID is not here: its published file names and poolings differ from torchvision's in ways that
only the file itself can confirm, and no file is at hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor, nn

from vultus.core.errors import UserError

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""LPIPS: pictures in -1..1 are brought to ``(x - SHIFT) / SCALE``, which is ImageNet's normalisation of 0..1."""

_WITHIN_LPIPS = re.compile(r"^net\.slice\d+\.(\d+)\.(weight|bias)$")
_LINEAR = re.compile(r"^(?:lin|lins\.)(\d)\.model\.1\.weight$")

PublishedName = Literal["alex", "vgg16"]


@dataclass(frozen=True)
class Layout:
    """A stack of convolutions: ``features.N`` counts convolutions, ReLUs and poolings alike."""

    layers: tuple[tuple[int, ...] | Literal["pool"], ...]
    """Convolutions as (channels, kernel, stride, padding), each followed by a ReLU; poolings."""
    pool: tuple[int, int]
    """Kernel and stride."""
    stages: tuple[int, ...]
    """Indices of the ReLUs whose outputs are compared."""


ALEXNET = Layout(
    ((64, 11, 4, 2), "pool", (192, 5, 1, 2), "pool", (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)),
    (3, 2),
    (1, 4, 7, 9, 11),
)
VGG16 = Layout(
    (
        (64, 3, 1, 1), (64, 3, 1, 1), "pool", (128, 3, 1, 1), (128, 3, 1, 1), "pool",
        (256, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), "pool",
        (512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1), "pool",
        (512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1),
    ),
    (2, 2),
    (3, 8, 15, 22, 29),
)  # fmt: skip
LAYOUTS: dict[PublishedName, Layout] = {"alex": ALEXNET, "vgg16": VGG16}


class PublishedFeatures(nn.Module):
    """AlexNet or VGG16 up to its last compared stage: (N, 3, H, W) in -1..1 -> five stages (N, C, h, w)."""

    shift: Tensor
    scale: Tensor

    def __init__(self, name: PublishedName) -> None:
        super().__init__()
        layout = LAYOUTS[name]
        self.stages = layout.stages
        modules: list[nn.Module] = []
        channels, self.channels = 3, list[int]()
        for layer in layout.layers:
            if layer == "pool":
                modules.append(nn.MaxPool2d(*layout.pool))
                continue
            wider, kernel, stride, padding = layer
            modules += [nn.Conv2d(channels, wider, kernel, stride, padding), nn.ReLU()]
            channels = wider
            if len(modules) - 1 in layout.stages:
                self.channels.append(channels)
        self.features = nn.Sequential(*modules)
        for key, values in (("shift", SHIFT), ("scale", SCALE)):
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class."""
        x = (image - self.shift) / self.scale
        found = []
        for index, module in enumerate(self.features):
            x = module(x)
            if index in self.stages:
                found.append(x)
        return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file, or of all weights files of a folder; no pickled object is ever built.

    Raises:
        UserError: there is no such file, or it holds something else than tensors.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    tensors: dict[str, Tensor] = {}
    for file in files:
        if file.suffix not in (".safetensors", ".pth", ".pt"):
            if file == path:
                raise UserError(f"{path} is no weights file: give a .safetensors, .pth or .pt file, or their folder")
            continue
        try:
            if file.suffix == ".safetensors":
                tensors |= safetensors.torch.load_file(file)
            else:
                tensors |= torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"{file} is missing: set weights to a file with published weights, or to null") from None
        except Exception as error:
            raise UserError(f"{file} cannot be read as weights: {str(error).splitlines()[0]}") from error
    if not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{path} holds something else than tensors: give the state of the network alone")
    return tensors


def map_lpips(tensors: dict[str, Tensor], name: PublishedName) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Published tensors in the layout of `PublishedFeatures`, and the (C,) weights of the five stages.

    Tensors of other parts (the classifier, the last convolutions' pooling) are left out.

    Raises:
        UserError: a tensor is missing or has another shape; the first one is named.
    """
    wanted = PublishedFeatures(name).state_dict()
    renamed = {_WITHIN_LPIPS.sub(r"features.\1.\2", key): value for key, value in tensors.items()}
    linear = {int(match[1]): value for key, value in tensors.items() if (match := _LINEAR.match(key))}
    for key, value in wanted.items():
        if key not in renamed:
            raise UserError(f"the published weights of {name} hold no {key}")
        _check(key, renamed[key], tuple(value.shape))
    channels = PublishedFeatures(name).channels
    for stage, width in enumerate(channels):
        key = f"lin{stage}.model.1.weight"
        if stage not in linear:
            raise UserError(f"the published weights of {name} hold no {key}")
        _check(key, linear[stage], (1, width, 1, 1))
    return {key: renamed[key] for key in wanted}, [linear[stage].flatten() for stage in range(len(channels))]


def _check(key: str, value: Tensor, shape: Sequence[int]) -> None:
    if tuple(value.shape) != tuple(shape):
        raise UserError(f"{key} has the shape {tuple(value.shape)}; expected {tuple(shape)}: another network's weights")
