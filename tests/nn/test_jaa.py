from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.nn.jaa import (
    Alignment,
    HighLevel,
    JaaTrunk,
    PartitionedConv,
    Refinement,
    RegionLayer,
    RegionLearning,
    assemble,
    high_level_size,
    scale_gradient,
    target_maps,
)

AUS = (1, 12, 25)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def trunk(**changes: object) -> JaaTrunk:
    torch.manual_seed(0)
    made = JaaTrunk(AUS, unit=1, image_px=64, n_points=49, **changes)  # type: ignore[arg-type]
    made.align.start_at(torch.rand(49, 2) * 64)
    return made


def test_parameter_counts_at_paper_size() -> None:
    assert count(RegionLearning(8)) == 1_615_392
    assert count(HighLevel(8)) == 813_312
    assert count(Alignment(8, 176, 49)) == 2_912_098
    assert count(Refinement(8)) == 75_457
    assert high_level_size(8, 176) == 4_000


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("patches", [8, 4, 2])
def test_grouped_patches_equal_a_loop_over_patches(patches: int, training: bool, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    block = PartitionedConv(6, 4, patches).double().to(memory_format=layout)  # type: ignore[call-overload]
    nn.init.normal_(block.norm.weight)
    nn.init.normal_(block.norm.bias)
    block.norm.running_mean.normal_()
    block.norm.running_var.uniform_(0.5, 2)
    block.train(training)
    x = torch.randn(3, 6, 16, 16, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    expected, side = torch.empty(3, 4, 16, 16, dtype=torch.float64), 16 // patches
    mean, var = block.norm.running_mean.clone(), block.norm.running_var.clone()
    for row in range(patches):
        for column in range(patches):
            i = row * patches + column
            area = (..., slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
            c, o = slice(6 * i, 6 * i + 6), slice(4 * i, 4 * i + 4)
            normed = functional.batch_norm(
                x[area], mean[c], var[c], block.norm.weight[c], block.norm.bias[c], training, 0.1, block.norm.eps
            )
            expected[area] = functional.conv2d(normed.relu(), block.conv.weight[o], block.conv.bias[o], padding=1)
    found, weight = block(x), torch.randn_like(expected)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(block.norm.running_mean, mean)  # the loop updated its copy, patch by patch
    reached = (x, *block.parameters())
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), reached),
        torch.autograd.grad((expected * weight).sum(), reached),
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_of_the_patches_lie_alike_in_memory(layout: torch.memory_format) -> None:
    block = PartitionedConv(6, 4, 4).to(memory_format=layout)  # type: ignore[call-overload]
    seen: list[Tensor] = []

    def watch(_: nn.Module, entering: tuple[Tensor], leaving: Tensor) -> None:
        seen.extend([entering[0], leaving])
        for value in (entering[0], leaving):
            value.register_hook(seen.append)  # type: ignore[no-untyped-call]

    block.norm.register_forward_hook(watch)
    block.conv.register_forward_hook(watch)
    x = torch.randn(2, 6, 16, 16).contiguous(memory_format=layout).requires_grad_()
    block(x).square().sum().backward()
    assert len(seen) == 8
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in seen)


@pytest.mark.parametrize(("part", "channels"), [(HighLevel(1), 8), (RegionLearning(1), 3)])
def test_relu_after_pooling_gives_what_relu_before_it_gives(part: nn.Sequential, channels: int) -> None:
    def relu_first(layers: list[nn.Module]) -> list[nn.Module]:
        order = [nn.Sequential(*relu_first(list(x))) if type(x) is nn.Sequential else x for x in layers]
        for i in range(len(order) - 1):
            if isinstance(order[i], nn.MaxPool2d) and isinstance(order[i + 1], nn.ReLU):
                order[i : i + 2] = [nn.ReLU(), order[i]]
        return order

    torch.manual_seed(0)
    part.double()
    x = torch.randn(2, channels, 32, 32, dtype=torch.float64)
    found, expected = part(x), nn.Sequential(*relu_first(list(part)))(x)
    assert (found == 0).any()
    assert (found > 0).any()
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    weight, parameters = torch.randn_like(found), list(part.parameters())
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), parameters),
        torch.autograd.grad((expected * weight).sum(), parameters),
    )


def test_nothing_crosses_a_patch_border() -> None:
    block = PartitionedConv(2, 2, 4).eval()
    x = torch.randn(1, 2, 16, 16)
    changed = x.clone()
    changed[..., 3, 3] += 1  # the last cell of the first patch, beside three others
    difference = (block(changed) - block(x)).abs().sum((0, 1))
    assert (difference[:4, :4] > 0).any()
    assert difference.sum() == difference[:4, :4].sum()


def test_region_layer_kinds_are_the_ablations() -> None:
    x = torch.randn(2, 3, 32, 32)
    sizes = {}
    for kind, blocks in (("hmr", 3), ("region", 1), ("plain", 0)):
        layer = RegionLayer(3, 8, kind)  # type: ignore[arg-type]
        assert layer(x).shape == (2, 8, 32, 32)
        assert len(layer.chain) == blocks
        sizes[kind] = count(layer)
    assert sizes["plain"] < min(sizes["hmr"], sizes["region"])


@pytest.mark.parametrize("image_px", [32, 64, 80, 96, 176])
def test_shapes_follow_from_the_crop(image_px: int) -> None:
    made = JaaTrunk((1, 12), unit=1, image_px=image_px, n_points=49).eval()
    with torch.no_grad():
        features = made(torch.zeros(1, 3, image_px, image_px))
    side = image_px // 4
    assert features.refined.shape == (1, 2, side, side)
    assert features.predefined.shape == (1, 2, side + 8, side + 8)
    assert features.landmarks.shape == (1, 49, 2)
    assert features.local[0].flatten(1).shape == (1, high_level_size(1, image_px))
    assert features.align.shape == features.whole.shape == features.local[0].shape


@pytest.mark.parametrize("image_px", [100, 16, 72])
def test_a_crop_that_does_not_fit_the_patches_is_refused(image_px: int) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        JaaTrunk((1,), unit=1, image_px=image_px, n_points=49)


def test_the_first_answer_is_the_mean_shape() -> None:
    align, shape = Alignment(1, 64, 49), torch.rand(49, 2) * 64
    align.start_at(shape)
    landmarks = align(torch.randn(3, 8, 16, 16))[1]
    torch.testing.assert_close(landmarks, shape.expand(3, 49, 2))


def test_landmarks_keep_float32_under_bfloat16() -> None:
    align = Alignment(1, 64, 49)
    with torch.autocast("cpu", torch.bfloat16):
        features, landmarks = align(torch.randn(3, 8, 16, 16))
    assert features.dtype == torch.bfloat16
    assert landmarks.dtype == torch.float32


def test_the_gradient_is_scaled_and_the_value_is_not() -> None:
    x = torch.randn(4, requires_grad=True)
    y = scale_gradient(x, 2.0)
    assert torch.equal(y, x)
    (y**2).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 4 * x.detach())


def test_the_enhancement_doubles_what_reaches_the_refinement_nets_and_nothing_else() -> None:
    image, gradients = torch.randn(2, 3, 64, 64), []
    for factor in (1.0, 2.0):
        made = trunk()
        features = made(image, gradient_scale=factor)
        sum(f.square().sum() for f in features.local).backward()
        gradients.append({name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None})
    for name in gradients[0]:
        factor = 2 if name.startswith("refine") else 1
        torch.testing.assert_close(gradients[1][name], factor * gradients[0][name], rtol=1e-4, atol=1e-6)


def test_maps_carry_no_gradient_to_the_landmarks() -> None:
    made = trunk()
    features = made(torch.randn(2, 3, 64, 64))
    features.refined.sum().backward()
    assert all(parameter.grad is None for parameter in made.align.parameters())
    assert all(parameter.grad is None for parameter in made.region.parameters())


def test_attention_modes() -> None:
    image = torch.randn(2, 3, 64, 64)
    none, fixed = trunk(attention="none")(image), trunk(attention="fixed")(image)
    assert (none.refined == 1).all()
    assert torch.equal(fixed.refined, fixed.predefined)
    assert fixed.refined.shape[-1] == 16
    assert not len(trunk(attention="fixed").refine)
    padded = trunk(map_extra=0)(image)
    assert padded.predefined.shape == padded.refined.shape


def test_maps_can_be_drawn_around_the_true_landmarks() -> None:
    made = trunk().eval()
    points = torch.rand(2, 49, 2) * 64
    with torch.no_grad():
        drawn, predicted = made(torch.zeros(2, 3, 64, 64), points), made(torch.zeros(2, 3, 64, 64))
    assert not torch.equal(drawn.predefined, predicted.predefined)
    assert torch.equal(drawn.landmarks, predicted.landmarks)


def test_diverged_landmarks_leave_finite_maps() -> None:
    made = trunk().eval()
    points = torch.full((2, 49, 2), torch.inf)
    points[1] = torch.nan
    with torch.no_grad():
        features = made(torch.zeros(2, 3, 64, 64), points)
    assert torch.isfinite(features.predefined).all()
    assert all(torch.isfinite(f).all() for f in features.local)


def test_without_the_whole_face_there_are_no_such_features() -> None:
    features = trunk(use_global=False)(torch.randn(2, 3, 64, 64))
    assert features.whole.shape == (2, 0, 2, 2)


def test_assembled_features() -> None:
    parts = [torch.full((1, 2, 1, 1), float(v)) for v in (1, 2, 6)]
    assert assemble(parts, "mean").flatten().tolist() == [3, 3]
    assert assemble(parts, "sum").flatten().tolist() == [9, 9]


def test_target_maps_are_sampled_by_nearest_neighbour() -> None:
    drawn: Tensor = torch.arange(24.0).expand(1, 1, 24, 24)
    assert target_maps(drawn, 16)[0, 0, 0].tolist() == [int(i * 24 / 16) for i in range(16)]
