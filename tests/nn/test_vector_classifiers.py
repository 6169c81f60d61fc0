from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from vultus.nn.vector_classifiers import ExtremeLearningMachine, Perceptron, SupportVectorMachine

CLASSES, INPUTS = 4, 6


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four overlapping clouds."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % CLASSES
    centre = np.random.default_rng(9).normal(0, 1.2, (CLASSES, INPUTS))
    return centre[label] + rng.normal(0, 1, (n, INPUTS)), label


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_machine_is_the_one_of_scikit_learn(kernel: str, weights: str | None) -> None:
    x, label = blobs(90)
    x, label = x[5:], label[5:]
    unseen, _ = blobs(200, seed=1)
    theirs = SVC(C=2.0, kernel=kernel, class_weight=weights, break_ties=True, tol=1e-5).fit(x, label)
    counts = np.bincount(label)
    class_weight = np.ones(CLASSES) if weights is None else len(label) / (CLASSES * counts)
    ours = SupportVectorMachine(INPUTS, CLASSES, kernel).double()  # type: ignore[arg-type]
    ours.solve(x, label, class_weight, c=2.0)
    with torch.no_grad():
        scores = ours(torch.from_numpy(unseen)).numpy()
        margins = ours.margins(torch.from_numpy(unseen)).numpy()
    np.testing.assert_allclose(scores, theirs.decision_function(unseen), atol=1e-4)
    np.testing.assert_array_equal(scores.argmax(axis=1), theirs.predict(unseen))
    theirs.decision_function_shape = "ovo"
    np.testing.assert_allclose(margins, theirs.decision_function(unseen), atol=1e-4)
    assert len(ours.support) == len(theirs.support_)


def test_weights_travel_with_their_number_of_support_vectors() -> None:
    x, label = blobs(60)
    taught, fresh = (SupportVectorMachine(INPUTS, CLASSES, "rbf") for _ in range(2))
    taught.solve(x.astype(np.float32), label, np.ones(CLASSES), c=1.0)
    fresh.load_state_dict(taught.state_dict())
    unseen = torch.from_numpy(blobs(20, seed=1)[0]).float()
    assert torch.equal(taught(unseen), fresh(unseen))
    with pytest.raises(RuntimeError, match="support"):
        SupportVectorMachine(INPUTS + 1, CLASSES, "rbf").load_state_dict(taught.state_dict())


def test_a_class_that_nobody_taught_never_wins() -> None:
    x, label = blobs(60)
    known = label != 2
    machine = SupportVectorMachine(INPUTS, CLASSES, "linear")
    machine.solve(x[known].astype(np.float32), label[known], np.ones(CLASSES), c=1.0)
    assert not (machine(torch.from_numpy(x).float()).argmax(1) == 2).any()


def test_hinge_loss_of_a_machine_that_knows_nothing_is_1() -> None:
    x, label = blobs(40)
    machine = SupportVectorMachine(INPUTS, CLASSES, "rbf").double()
    machine.place(x)
    batch = torch.from_numpy(x), torch.from_numpy(label), torch.ones(CLASSES)
    assert machine.losses(*batch)["hinge"].item() == pytest.approx(1.0)
    machine.solve(x, label, np.ones(CLASSES), c=10.0)
    assert machine.losses(*batch)["hinge"].item() < 0.3


def test_extreme_learning_machine_solves_its_ridge_regression() -> None:
    x, label = blobs(80)
    torch.manual_seed(0)
    machine = ExtremeLearningMachine(INPUTS, CLASSES, units=50).double()
    weight = np.array([1.0, 2.0, 1.0, 0.5])
    machine.solve(x, label, weight, c=5.0)
    # At the solution the gradient of the weighted squared error and the norm vanishes.
    hidden = torch.sigmoid(torch.from_numpy(x) @ machine.hidden_weight + machine.hidden_bias)
    target = 2.0 * torch.eye(CLASSES, dtype=torch.float64)[label] - 1.0
    error = (hidden @ machine.readout - target) * torch.from_numpy(weight[label])[:, None]
    gradient = hidden.T @ error + machine.readout / 5.0
    assert gradient.abs().max().item() < 1e-8
    assert (machine(torch.from_numpy(x)).argmax(1).numpy() == label).mean() > 0.8


def test_perceptron_weighs_classes() -> None:
    torch.manual_seed(0)
    network = Perceptron(INPUTS, CLASSES, units=8, dropout=0.5).eval()
    x, label = torch.randn(10, INPUTS), torch.arange(10) % CLASSES
    weight = torch.tensor([1.0, 0.0, 0.0, 0.0])
    only_first = network.losses(x[label == 0], label[label == 0], torch.ones(CLASSES))["cross_entropy"]
    torch.testing.assert_close(network.losses(x, label, weight)["cross_entropy"], only_first)
