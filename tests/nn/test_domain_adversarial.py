"""Gradient reversal, CDAN's map, and ResNet-50's published layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from vultus.core.errors import UserError
from vultus.nn.domain_adversarial import (
    RANDOM_FEATURES,
    AlignedClassifier,
    Classifier,
    MultilinearMap,
    NetworkConfig,
    reverse_gradient,
)
from vultus.nn.resnet import ResNet50

TINY = NetworkConfig(classes=3, backbone="mlp", features=5, width=8, bottleneck=4)


def test_the_gradient_is_reversed_and_scaled() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.full((3, 2), -0.25))


def test_the_map_is_the_outer_product_or_keeps_its_inner_products() -> None:
    f, p = torch.randn(2, 4), torch.randn(2, 3).softmax(dim=1)
    direct = MultilinearMap(4, 3)(f, p)
    assert direct.shape == (2, 12)
    torch.testing.assert_close(direct[0].reshape(3, 4), torch.outer(p[0], f[0]))
    torch.manual_seed(0)
    random = MultilinearMap(256, 31)
    assert (random.direct, random.size) == (False, RANDOM_FEATURES)
    f, p = torch.randn(2, 256), torch.randn(2, 31).softmax(dim=1)
    # E <h, h'> = <f, f'> <p, p'> for Gaussian matrices
    h = random(f, p)
    assert float(h[0] @ h[0]) == pytest.approx(float((f[0] @ f[0]) * (p[0] @ p[0])), rel=0.35)


def test_features_fight_the_discriminator() -> None:
    """One step along the features' gradient makes the discriminator worse, one along its own makes it better."""
    torch.manual_seed(1)
    network = AlignedClassifier(TINY, "cdan_e", hidden=16).eval()
    ones = torch.ones(16)
    batch = {"source": torch.randn(16, 5), "label": torch.arange(16) % 3, "target": torch.randn(16, 5) + 1}
    batch["progress"] = ones

    def adversarial() -> torch.Tensor:
        return network.losses(batch)[0]["adversarial"]

    before = adversarial()
    before.backward()  # type: ignore[no-untyped-call]
    assert network.classifier.head.weight.grad is None, "probabilities are detached"
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for part, rises in ((network.classifier, True), (network.discriminator, False)):
        with torch.no_grad():
            for parameter in part.parameters():
                if parameter.grad is not None:
                    parameter -= 1e-2 * parameter.grad
            assert (float(adversarial()) > float(before)) == rises
            network.load_state_dict(state)


def test_smooth_labels_are_a_mixture_with_the_uniform_one() -> None:
    torch.manual_seed(1)
    network = AlignedClassifier(replace(TINY, label_smoothing=0.3), "dann", hidden=16).eval()
    batch = {"source": torch.randn(4, 5), "label": torch.arange(4) % 3, "target": torch.randn(4, 5)}
    loss = network.losses({**batch, "progress": torch.zeros(4)})[0]["classification"]
    log_p = network(batch["source"]).log()
    by_hand = -(0.7 * log_p[torch.arange(4), batch["label"]] + 0.3 * log_p.mean(dim=1)).mean()
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5)


def test_resnet_50_has_the_published_layout(tmp_path: Path) -> None:
    network = ResNet50()
    assert sum(p.numel() for p in network.parameters()) == 25_557_032 - 2048 * 1000 - 1000
    state = network.state_dict()
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert sum(name.endswith("running_mean") for name in state) == 53
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 2048)
    published = {**{name: torch.zeros_like(value) for name, value in state.items()}, "fc.weight": torch.zeros(2, 2)}
    safetensors.torch.save_file(published, tmp_path / "resnet50.safetensors")
    config = NetworkConfig(weights=str(tmp_path / "resnet50.safetensors"))
    assert not Classifier(config).backbone.conv1.weight.any()  # type: ignore[union-attr,operator]
    published.pop("conv1.weight")
    torch.save(published, tmp_path / "other.pth")
    with pytest.raises(UserError, match="holds no weights of ResNet-50"):
        network.load_published(tmp_path / "other.pth")
    with pytest.raises(UserError, match="is missing"):
        network.load_published(tmp_path / "absent.pth")


def test_small_pictures() -> None:
    config = NetworkConfig(classes=7, backbone="small_cnn", width=16, bottleneck=8)
    features, logits = Classifier(config)(torch.randn(2, 3, 48, 48))
    assert (features.shape, logits.shape) == ((2, 8), (2, 7))
    with pytest.raises(ValueError, match="weights are of resnet50"):
        NetworkConfig(backbone="mlp", weights="x.pth")
