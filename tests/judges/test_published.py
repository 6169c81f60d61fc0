"""Layouts of published weights: names, shapes and scaling, with generated tensors."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from vultus.core.errors import UserError
from vultus.judges.perceptual import Config, PerceptualJudge
from vultus.judges.published import SCALE, SHIFT, PublishedFeatures, PublishedName, map_lpips, read_tensors

ALEX_SHAPES = {
    0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3),
}  # fmt: skip
VGG_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
CHANNELS: dict[PublishedName, tuple[int, ...]] = {
    "alex": (64, 192, 384, 256, 256),
    "vgg16": (64, 128, 256, 512, 512),
}


def alex_file() -> dict[str, Tensor]:
    """Tensors of torchvision's AlexNet, classifier and all, and of the linear layers of LPIPS."""
    rng = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    for index, shape in ALEX_SHAPES.items():
        tensors[f"features.{index}.weight"] = 0.05 * torch.randn(shape, generator=rng)
        tensors[f"features.{index}.bias"] = 0.1 * torch.randn(shape[0], generator=rng)
    tensors["classifier.6.weight"] = torch.zeros(10, 4)
    for stage, channels in enumerate(CHANNELS["alex"]):
        tensors[f"lin{stage}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=rng)
    return tensors


@pytest.fixture
def judge(tmp_path: Path) -> PerceptualJudge:
    safetensors.torch.save_file(alex_file(), tmp_path / "lpips.safetensors")
    made = PerceptualJudge(Config(network="alex"))
    made.load_published(tmp_path / "lpips.safetensors")
    return made.eval()


def test_alexnet_has_the_shapes_of_its_published_tensors() -> None:
    state = PublishedFeatures("alex").state_dict()
    assert {name: tuple(value.shape) for name, value in state.items() if name.endswith("weight")} == {
        f"features.{index}.weight": shape for index, shape in ALEX_SHAPES.items()
    }


def test_vgg16_has_its_convolutions_at_their_published_places() -> None:
    network = PublishedFeatures("vgg16")
    names = {name for name in network.state_dict() if name.endswith("weight")}
    assert names == {f"features.{index}.weight" for index in VGG_CONVOLUTIONS}
    assert network.features[28].weight.shape == (512, 512, 3, 3)


@pytest.mark.parametrize(
    ("name", "sides"), [("alex", (15, 7, 3, 3, 3)), ("vgg16", (64, 32, 16, 8, 4))], ids=["alex", "vgg16"]
)
def test_stages_have_the_channels_and_sides_of_the_paper(name: PublishedName, sides: tuple[int, ...]) -> None:
    with torch.no_grad():
        stages = PublishedFeatures(name)(torch.zeros(1, 3, 64, 64))
    assert [tuple(stage.shape) for stage in stages] == [
        (1, channels, side, side) for channels, side in zip(CHANNELS[name], sides, strict=True)
    ]
    assert all((stage >= 0).all() for stage in stages)


def test_scaling_is_imagenets_normalisation() -> None:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    # (x - SHIFT) / SCALE for x = 2 u - 1 is (u - mean) / deviation
    assert torch.allclose((1 + torch.tensor(SHIFT)) / 2, mean, atol=1e-6)
    assert torch.allclose(torch.tensor(SCALE) / 2, deviation, atol=1e-6)


def test_first_stage_and_distance_agree_with_a_computation_by_hand(judge: PerceptualJudge) -> None:
    tensors, rng = alex_file(), torch.Generator().manual_seed(1)
    first, second = (torch.rand(2, 3, 64, 64, generator=rng) * 2 - 1 for _ in range(2))
    totals = torch.zeros(2)
    stages = []
    for image in (first, second):
        x = (image - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
        found = []
        for index in ALEX_SHAPES:
            if index in (3, 6):
                x = functional.max_pool2d(x, 3, 2)
            stride, padding = (4, 2) if index == 0 else (1, 2 if index == 3 else 1)
            x = functional.conv2d(
                x, tensors[f"features.{index}.weight"], tensors[f"features.{index}.bias"], stride, padding
            ).relu()
            found.append(x)
        stages.append(found)
    for stage, (f, g) in enumerate(zip(*stages, strict=True)):
        difference = (
            f / f.norm(dim=1, keepdim=True).clamp(min=1e-9) - g / g.norm(dim=1, keepdim=True).clamp(min=1e-9)
        ) ** 2
        totals += functional.conv2d(difference, tensors[f"lin{stage}.model.1.weight"]).mean(dim=(1, 2, 3))
    assert torch.allclose(judge.distance(first, second), totals, atol=1e-5)


def test_a_whole_lpips_model_is_read_by_its_own_names() -> None:
    slices = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
    renamed = {
        (
            f"net.slice{slices[int(key.split('.')[1])]}.{key.removeprefix('features.')}" if "features" in key else key
        ): value
        for key, value in alex_file().items()
    }
    features, weights = map_lpips(renamed, "alex")
    assert torch.equal(features["features.6.weight"], alex_file()["features.6.weight"])
    assert [len(weight) for weight in weights] == list(CHANNELS["alex"])


def test_checkpoint_and_folder_are_read_and_pickles_are_not(tmp_path: Path) -> None:
    tensors = alex_file()
    linear = {key: value for key, value in tensors.items() if key.startswith("lin")}
    torch.save({key: value for key, value in tensors.items() if key not in linear}, tmp_path / "alexnet.pth")
    safetensors.torch.save_file(linear, tmp_path / "lin.safetensors")
    (tmp_path / "LICENSE").write_text("text")
    assert set(read_tensors(tmp_path)) == set(tensors)
    assert len(read_tensors(tmp_path / "alexnet.pth")) == len(tensors) - len(linear)

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.getenv, ("HOME",)

    buffer = io.BytesIO()
    torch.save({"x": Harm()}, buffer)
    (tmp_path / "harm.pth").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="cannot be read as weights"):
        read_tensors(tmp_path / "harm.pth")


def test_missing_and_foreign_tensors_are_named(tmp_path: Path) -> None:
    tensors = alex_file()
    with pytest.raises(UserError, match=r"features\.0\.weight has the shape \(64, 3, 11, 11\)"):
        map_lpips(tensors, "vgg16")
    wrong = {**tensors, "lin2.model.1.weight": torch.zeros(1, 5, 1, 1)}
    with pytest.raises(UserError, match=r"lin2\.model\.1\.weight has the shape \(1, 5, 1, 1\)"):
        map_lpips(wrong, "alex")
    del tensors["lin4.model.1.weight"]
    with pytest.raises(UserError, match=r"hold no lin4\.model\.1\.weight"):
        map_lpips(tensors, "alex")
    with pytest.raises(UserError, match="is missing"):
        read_tensors(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="is no weights file"):
        read_tensors(tmp_path / "none.txt")
