import numpy as np
import pytest

from vultus.world.phones import PHONES, SILENCE
from vultus.world.speech import SAMPLE_RATE_HZ, Phone, SpeechRequest, Utterance
from vultus.world.tongue import (
    LIP_SHAPE,
    TARGETS,
    TONGUE_PARAMETERS,
    ULTRASOUND_SHAPE,
    lip_pictures,
    tongue_contour,
    tongue_parameters,
    ultrasound_pictures,
    uneven,
)


def utterance_of(*phones: tuple[str, float]) -> Utterance:
    placed, at = [], 0
    for arpa, seconds in phones:
        end = at + round(seconds * SAMPLE_RATE_HZ)
        placed.append(Phone(arpa, at, end, stress=1))
        at = end
    return Utterance(SpeechRequest("x"), "test", np.zeros(at, np.float32), (), tuple(placed), 0.0)


def target(name: str) -> np.ndarray:
    return np.array([TARGETS[name]], np.float32)


def test_every_phone_has_targets_in_range() -> None:
    diphthongs = {"EY", "AY", "AW", "OY", "OW"}
    assert set(TARGETS) >= (PHONES - diphthongs) | {SILENCE}
    values = np.array(list(TARGETS.values()))
    assert values.shape[1] == len(TONGUE_PARAMETERS)
    assert values.min() >= 0
    assert values.max() <= 1
    tongue_parameters(utterance_of(*((phone, 0.08) for phone in sorted(PHONES))), 60.0, 240)


@pytest.mark.parametrize("phone", ["IY", "AA", "UW", "T", "K", "P", "SH"])
def test_a_long_phone_reaches_its_target(phone: str) -> None:
    parameters = tongue_parameters(utterance_of((SILENCE, 0.3), (phone, 0.5), (SILENCE, 0.3)), 60.0, 66)
    strong = {"T": [2, 3], "K": [0, 1], "P": [6, 7, 8]}.get(phone, range(10))
    np.testing.assert_allclose(parameters[33][list(strong)], target(phone)[0][list(strong)], atol=0.05)


def test_the_tip_is_faster_than_the_root() -> None:
    parameters = tongue_parameters(utterance_of(("AA", 0.4), ("IY", 0.4)), 1000.0, 800)
    progress = (parameters - parameters[100]) / np.where(
        np.abs(parameters[700] - parameters[100]) < 1e-3, np.inf, parameters[700] - parameters[100]
    )

    def rise_ms(column: int) -> int:
        curve = progress[:, column]
        return int(np.flatnonzero(curve > 0.9)[0] - np.flatnonzero(curve > 0.1)[0])

    assert rise_ms(TONGUE_PARAMETERS.index("tip_height")) < rise_ms(TONGUE_PARAMETERS.index("root_advance"))


def test_lips_of_a_stop_leave_the_tongue_to_the_vowels() -> None:
    parameters = tongue_parameters(utterance_of(("IY", 0.2), ("P", 0.08), ("IY", 0.2)), 100.0, 48)
    assert parameters[23, TONGUE_PARAMETERS.index("dorsum_height")] > 0.85
    assert parameters[23, TONGUE_PARAMETERS.index("lip_aperture")] < 0.08


def test_contour_is_high_in_front_for_i_and_in_the_back_for_k() -> None:
    i_height, _ = tongue_contour(target("IY"))
    k_height, _ = tongue_contour(target("K"))
    a_height, _ = tongue_contour(target("AA"))
    t_height, _ = tongue_contour(target("T"))
    x = np.linspace(0, 1, 40)
    assert x[i_height[0].argmax()] > x[k_height[0].argmax()]
    assert i_height.max() > a_height.max() + 0.15
    assert t_height[0, x > 0.8].max() > a_height[0, x > 0.8].max() + 0.15


def test_contour_follows_its_formula() -> None:
    height, visible = tongue_contour(target("IY"))
    x = 20 / 39
    expected = (
        0.35
        + 0.5 * (0.95 - 0.3) * np.exp(-(((x - 0.15 - 0.6 * 0.75) / 0.22) ** 2))
        + 0.35 * (0.45 - 0.3) * np.exp(-(((x - 0.55 - 0.4 * 0.75) / 0.10) ** 2))
        - 0.15 * 0.10
        + 0.12 * (0.90 - 0.5) * np.exp(-((x / 0.25) ** 2))
    )
    assert height[0, 20] == pytest.approx(expected, abs=1e-6)
    assert visible[0, 0] == pytest.approx(1.0)
    assert visible[0, -1] < 0.05


def test_ultrasound_shows_the_surface_where_the_contour_is() -> None:
    parameters = np.repeat(target("IY"), 60, axis=0)
    pictures = ultrasound_pictures(parameters, np.random.default_rng(0))
    assert pictures.shape == (60, *ULTRASOUND_SHAPE)
    assert pictures.dtype == np.float32
    mean = pictures.mean(axis=0)
    height, _ = tongue_contour(parameters[:1])
    for column in (5, 12, 20, 28):
        assert abs(mean[:, column].argmax() - (30 - 26 * height[0, column])) <= 1.5


def test_speckle_is_the_generators_and_stronger_when_hard() -> None:
    parameters = np.repeat(target("AE"), 20, axis=0)
    first, second = (ultrasound_pictures(parameters, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    hard = ultrasound_pictures(parameters, np.random.default_rng(7), speckle=0.8)
    assert hard.std(axis=0).mean() > first.std(axis=0).mean()


def test_lips_open_close_and_round() -> None:
    def dark(name: str) -> np.ndarray:
        picture = lip_pictures(target(name), np.random.default_rng(0), noise=0.0)[0]
        assert picture.shape == LIP_SHAPE
        return picture < 0.2

    assert dark("P").sum() < 0.2 * dark("AA").sum()
    open_columns = {name: np.flatnonzero(dark(name).any(axis=0)) for name in ("IY", "UW")}
    assert np.ptp(open_columns["IY"]) > np.ptp(open_columns["UW"]) + 8


def test_labiodental_contact_brightens_the_lower_lip() -> None:
    noise_free = [lip_pictures(target(name), np.random.default_rng(0), noise=0.0)[0] for name in ("F", "P")]
    assert noise_free[0].max() > noise_free[1].max() + 0.1


def test_a_shifted_probe_moves_the_whole_picture() -> None:
    parameters = np.repeat(target("IY"), 3, axis=0)
    still = ultrasound_pictures(parameters, np.random.default_rng(0), 0.0)
    lower = ultrasound_pictures(parameters, np.random.default_rng(0), 0.0, (0.0, 2.0))
    np.testing.assert_allclose(lower[:, 2:].mean(), still[:, :-2].mean(), rtol=0.05)
    assert np.argmax(lower[0, :, 10]) == np.argmax(still[0, :, 10]) + 2
    aside = lip_pictures(parameters, np.random.default_rng(0), 0.0, (3.0, 0.0))
    np.testing.assert_allclose(
        aside[:, :, 3:], lip_pictures(parameters, np.random.default_rng(0), 0.0)[:, :, :-3], atol=1e-6
    )


def test_no_two_utterances_move_alike() -> None:
    parameters = np.full((200, len(TONGUE_PARAMETERS)), 0.5, np.float32)
    first, again, second = (uneven(parameters, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.mean(axis=0) - second.mean(axis=0)).max() > 0.03
    assert first.std(axis=0).mean() == pytest.approx(0.02, rel=0.1)
    assert 0 <= first.min() <= first.max() <= 1
