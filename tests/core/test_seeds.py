from __future__ import annotations

import json
import random

import numpy as np
import torch

from vultus.core.seeds import generator, random_state, restore_random_state, seed_everything


def test_a_generator_belongs_to_its_name_alone() -> None:
    first = generator(1, "crop", 3, 4).random(5)
    generator(1, "flip").random(1000)
    assert np.array_equal(first, generator(1, "crop", 3, 4).random(5))
    others = [generator(2, "crop", 3, 4), generator(1, "crop", 34), generator(1, "crop", 4, 3), generator(1, "crop")]
    assert all(not np.array_equal(first, other.random(5)) for other in others)


def test_states_survive_json_and_give_the_same_numbers() -> None:
    seed_everything(3)
    random.gauss(0, 1)
    np.random.standard_normal()  # noqa: NPY002
    tensors, plain = random_state()
    plain = json.loads(json.dumps(plain))
    first = random.gauss(0, 1), np.random.standard_normal(), torch.randn(3)  # noqa: NPY002
    seed_everything(4)
    restore_random_state(tensors, plain)
    second = random.gauss(0, 1), np.random.standard_normal(), torch.randn(3)  # noqa: NPY002
    assert first[:2] == second[:2]
    assert torch.equal(first[2], second[2])
