"""Blocks of the JAA family: region learning, face alignment, attention refinement, local features.

Shao et al., "Deep Adaptive Attention for Joint Facial Action Unit Detection and Face Alignment", ECCV 2018 (section and
equation numbers below), used by `jaa_net`, `jaa_hat_net` and `jaa_graph`. Every size follows from the unit c (8 in the
paper) and the side l of the face crop (176): nothing is wired to 176.

Shapes: B batch, C channels, A action units, K landmarks, l side of the crop, m = l/4 side of the region features,
M side of the maps that enter the refinement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from vultus.core.errors import UserError
from vultus.face.attention import attention_maps
from vultus.face.regions import au_centres

REFINEMENT_SHRINK = 8
"""Cells that the four valid 3x3 convolutions of a refinement net take off the side of a map."""


class PartitionedConv(nn.Module):
    """BatchNorm, ReLU and a 3x3 convolution with weights of their own for each of n x n equal patches.

    The patches become channel groups, so that all are one grouped convolution; the zero padding lies inside the patch,
    and nothing crosses a patch's border. (B, C, H, W) -> (B, C', H, W), H and W divisible by n.

    Patches lie in memory with their channels last whatever the layout of the rest: the gradient of a convolution comes
    in the layout of its weights, and ReLU and BatchNorm of torch take 10 to 30 times as long to go back where gradient
    and value are laid out differently.
    """

    def __init__(self, channels_in: int, channels_out: int, patches: int) -> None:
        super().__init__()
        groups = patches * patches
        self.patches = patches
        self.norm = nn.BatchNorm2d(groups * channels_in)
        self.conv = nn.Conv2d(groups * channels_in, groups * channels_out, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), the result with its channels last in memory."""
        n, (b, c, height, width) = self.patches, x.shape
        h, w = height // n, width // n
        rows = x.permute(0, 2, 3, 1).reshape(b, n, h, n, w, c).permute(0, 2, 4, 1, 3, 5).reshape(b, h, w, n * n * c)
        y: Tensor = self.conv(functional.relu(self.norm(rows.permute(0, 3, 1, 2)), inplace=True))
        rows = y.permute(0, 2, 3, 1).reshape(b, h, w, n, n, -1).permute(0, 3, 1, 4, 2, 5).reshape(b, height, width, -1)
        return rows.permute(0, 3, 1, 2)


class RegionLayer(nn.Module):
    """Hierarchical and multi-scale region layer (figure 3): patches of 8x8, 4x4 and 2x2 in a chain, beside the input.

    ``kind`` replaces it in ablations: ``region`` has the 8x8 patches alone (the region layer of DRML), ``plain`` no
    patches at all. No ReLU follows the first convolution: the patches normalise their input themselves. The layer
    ends before its last ReLU, which `RegionLearning` applies after pooling.
    """

    def __init__(self, channels_in: int, channels_out: int, kind: Literal["hmr", "region", "plain"]) -> None:
        super().__init__()
        half, quarter = channels_out // 2, channels_out // 4
        chains = {
            "hmr": [(channels_out, half, 8), (half, quarter, 4), (quarter, quarter, 2)],
            "region": [(channels_out, channels_out, 8)],
            "plain": [],
        }
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.chain = nn.ModuleList(PartitionedConv(*sizes) for sizes in chains[kind])
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), H and W divisible by 8."""
        y = self.conv(x)
        scales, at = [], y
        for block in self.chain:
            at = block(at)
            scales.append(at)
        total: Tensor = self.norm(y + torch.cat(scales, 1) if scales else y)
        return total


class RegionLearning(nn.Sequential):
    """Two region layers, each with 2x2 pooling (section 3.1): (B, 3, l, l) -> (B, 8c, l/4, l/4).

    Here and in `HighLevel` the ReLU before a pooling follows it instead: values and gradients are the same, since ReLU
    keeps the order, and it sees a quarter of the cells.
    """

    def __init__(self, unit: int, kind: Literal["hmr", "region", "plain"] = "hmr") -> None:
        super().__init__(
            RegionLayer(3, 4 * unit, kind),
            nn.Sequential(nn.MaxPool2d(2), nn.ReLU(inplace=True)),
            RegionLayer(4 * unit, 8 * unit, kind),
            nn.Sequential(nn.MaxPool2d(2), nn.ReLU(inplace=True)),
        )


class HighLevel(nn.Sequential):
    """Three times two convolutions and a pooling, 12c, 16c and 20c wide: (B, 8c, m, m) -> (B, 20c, m // 8, m // 8)."""

    def __init__(self, unit: int) -> None:
        layers: list[nn.Module] = []
        channels = 8 * unit
        for width in (12 * unit, 16 * unit, 20 * unit):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.MaxPool2d(2)]
            layers.append(nn.ReLU(inplace=True))
            channels = width
        super().__init__(*layers)


def high_level_size(unit: int, image_px: int) -> int:
    """Number of values that `HighLevel` gives for a crop: ``20 c (l // 32)^2``, 4,000 in the paper."""
    return 20 * unit * (image_px // 32) ** 2


class Alignment(nn.Module):
    """Landmarks from the region features (section 3.2), and the features that lead to them.

    Two linear layers without an activation between. They run in float32 whatever the precision of the rest: bfloat16
    knows pixels above 128 only by twos.
    """

    def __init__(self, unit: int, image_px: int, n_points: int) -> None:
        super().__init__()
        self.features = HighLevel(unit)
        self.hidden = nn.Linear(high_level_size(unit, image_px), 64 * unit)
        self.landmarks = nn.Linear(64 * unit, 2 * n_points)

    def start_at(self, mean_shape_px: Tensor) -> None:
        """Let the untrained layer answer the mean shape (K, 2), so that the first attention maps lie on the face."""
        nn.init.zeros_(self.landmarks.weight)
        with torch.no_grad():
            self.landmarks.bias.copy_(mean_shape_px.reshape(-1))

    def forward(self, region: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 8c, m, m) -> features (B, 20c, m // 8, m // 8), landmarks (B, K, 2) px."""
        features = self.features(region)
        with torch.autocast(region.device.type, enabled=False):
            points = self.landmarks(self.hidden(features.flatten(1).float()))
        return features, points.unflatten(1, (-1, 2))


class Refinement(nn.Sequential):
    """One action unit's map, refined by four 3x3 convolutions (figure 4): (B, 1, M, M) -> (B, 1, m, m) in 0..1.

    Without padding the map loses 8 cells a side, which is why it is drawn 8 cells larger than the features.
    """

    def __init__(self, unit: int, padding: int = 0) -> None:
        layers: list[nn.Module] = []
        channels, width = 1, 8 * unit
        for _ in range(3):
            layers += [nn.Conv2d(channels, width, 3, padding=padding), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        super().__init__(*layers, nn.Conv2d(width, 1, 3, padding=padding), nn.Sigmoid())


class _GradientScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """The same values; the gradient that flows back is multiplied by ``factor``.

    The back-propagation enhancement of section 3.3: the released code reaches the same with a doubled learning rate of
    the refinement nets and a halved weight of their loss.
    """
    scaled: Tensor = _GradientScale.apply(x, factor)  # type: ignore[no-untyped-call]
    return scaled


@dataclass(frozen=True)
class TrunkFeatures:
    """What the shared part of the network gives."""

    align: Tensor
    """(B, 20c, s, s), s = l // 32."""
    whole: Tensor
    """(B, 20c, s, s), of the whole face."""
    local: list[Tensor]
    """A times (B, 20c, s, s)."""
    landmarks: Tensor
    """(B, K, 2) px of the crop."""
    predefined: Tensor
    """(B, A, M, M) in 0..1, drawn around the landmarks."""
    refined: Tensor
    """(B, A, m, m) in 0..1: the maps that the local features are seen through."""


class JaaTrunk(nn.Module):
    """Everything between the face and the classifiers: figure 2 without its right edge.

    The attention ``adaptive`` refines the predefined maps, ``fixed`` uses them as they are drawn, ``none`` sees the
    whole face in every branch. The maps never carry a gradient to the landmarks they were drawn around.

    The branches of the action units are a plain loop over modules. Measured on two CPU cores, forward and backward of
    the 12 local branches in channels-last: 175 ms in bfloat16 and 291 ms in float32 at paper size with batch 4, against
    284 and 357 ms as one grouped convolution; at l = 64, c = 4, batch 16 the loop takes 52 and 71 ms, the group 35 and
    490.
    """

    def __init__(
        self,
        action_units: tuple[int, ...],
        unit: int,
        image_px: int,
        n_points: int,
        region: Literal["hmr", "region", "plain"] = "hmr",
        attention: Literal["none", "fixed", "adaptive"] = "adaptive",
        use_global: bool = True,
        map_extra: int = REFINEMENT_SHRINK,
        zeta: float = 0.14,
        xi: float = 0.56,
    ) -> None:
        super().__init__()
        if image_px % 16 or image_px < 32:
            raise ValueError(f"image_px must be a multiple of 16 from 32 on (8 patches at half size), not {image_px}")
        if map_extra not in (0, REFINEMENT_SHRINK):
            raise ValueError(f"map_extra must be 0 (padded refinement) or {REFINEMENT_SHRINK} (valid), not {map_extra}")
        self.action_units, self.image_px, self.zeta, self.xi = action_units, image_px, zeta, xi
        self.map_px = image_px // 4 + (map_extra if attention == "adaptive" else 0)
        self.region = RegionLearning(unit, region)
        self.align = Alignment(unit, image_px, n_points)
        padding = 0 if map_extra else 1
        refiners = (Refinement(unit, padding) for _ in action_units if attention == "adaptive")
        self.refine = nn.ModuleList(refiners)
        self.local = nn.ModuleList(HighLevel(unit) for _ in action_units)
        self.whole = HighLevel(unit) if use_global else None
        self.attention = attention

    def forward(self, image: Tensor, draw_around: Tensor | None = None, gradient_scale: float = 1.0) -> TrunkFeatures:
        """Features of a batch of faces.

        Args:
            image: (B, 3, l, l) in -1..1.
            draw_around: (B, K, 2) px to draw the maps around instead of the predicted landmarks (an upper bound).
            gradient_scale: factor on the gradient that reaches the refined maps through the local features.
        """
        region = self.region(image)
        align, landmarks = self.align(region)
        points = landmarks.detach() if draw_around is None else draw_around
        centres = au_centres(points, self.action_units)
        predefined = attention_maps(centres, self.image_px, self.map_px, self.zeta, self.xi)
        if self.attention == "adaptive":
            refined = torch.cat([net(predefined[:, i : i + 1]) for i, net in enumerate(self.refine)], dim=1)
        elif self.attention == "fixed":
            refined = predefined
        else:
            refined = torch.ones_like(predefined)
        seen = scale_gradient(refined, gradient_scale) if gradient_scale != 1 else refined
        local = [branch(region * seen[:, i : i + 1]) for i, branch in enumerate(self.local)]
        whole = self.whole(region) if self.whole is not None else align.new_zeros((len(align), 0, *align.shape[2:]))
        return TrunkFeatures(align, whole, local, landmarks, predefined, refined)


def assemble(local: list[Tensor], how: Literal["mean", "sum"]) -> Tensor:
    """The local features of all action units as one map: their sum (the paper) or mean (the released PyTorch code)."""
    stacked = torch.stack(local)
    return stacked.mean(0) if how == "mean" else stacked.sum(0)


def target_maps(predefined: Tensor, side: int) -> Tensor:
    """The predefined maps (B, A, M, M) at the side of the refined ones, by nearest neighbour: the target of E_r."""
    return functional.interpolate(predefined, size=(side, side), mode="nearest")


MAP_DONORS = {25: 23, 26: 17}
"""AU -> AU of the same region whose branch it may start from (DISFA from BP4D)."""


def start_from(network: nn.Module, folder: str, action_units: tuple[int, ...]) -> None:
    """Copy the trunk of a trained network of the family into one for other action units.

    Region, alignment and global features are copied; the refinement net and branch of an AU come from the same AU, or
    from the one that shares its region; heads and classifiers, and AUs without a donor, stay fresh.

    Args:
        network: has a `JaaTrunk` named ``trunk``.
        folder: holds ``weights.safetensors`` and ``config.yaml`` of the donor.
        action_units: of ``network``.

    Raises:
        UserError: the folder holds no such weights, or their sizes differ.
    """
    weights_file, config_file = Path(folder) / "weights.safetensors", Path(folder) / "config.yaml"
    for path in (weights_file, config_file):
        if not path.exists():
            raise UserError(f"config.start_from: {path} is missing: train that system first")
    donor = safetensors.torch.load_file(weights_file)
    donor_units: list[int] = yaml.safe_load(config_file.read_text())["aus"]
    weights = {
        name: value for name, value in donor.items() if name.startswith(("trunk.region", "trunk.align", "trunk.whole"))
    }
    for index, unit in enumerate(action_units):
        source = next((u for u in (unit, MAP_DONORS.get(unit)) if u in donor_units), None)
        if source is None:
            continue
        for part in ("refine", "local"):
            prefix = f"trunk.{part}.{donor_units.index(source)}."
            weights |= {
                f"trunk.{part}.{index}.{name.removeprefix(prefix)}": value
                for name, value in donor.items()
                if name.startswith(prefix)
            }
    try:
        unknown = network.load_state_dict(weights, strict=False).unexpected_keys
    except RuntimeError as error:
        raise UserError(
            f"config.start_from: {folder} has other sizes ({str(error).splitlines()[-1].strip()})"
        ) from None
    if unknown:
        raise UserError(f"config.start_from: {folder} holds {unknown[0]}, which this configuration has not")
