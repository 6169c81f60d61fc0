from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.audio.spectra import energy_db
from vultus.world.coarticulation import dominance_weights
from vultus.world.formant import synthesise_formant
from vultus.world.phones import PHONES, SILENCE
from vultus.world.sentences import CARRIER_SENTENCES, VARIED_SENTENCES
from vultus.world.speech import SAMPLE_RATE_HZ, VOICES, Phone, SpeechRequest, Utterance, constriction_s, synthesise
from vultus.world.visemes import SPEECH_AUS, VISEME_OF, VISEMES, speech_aus


def utterance_of(phones: list[tuple[str, float]], stress: int = 1) -> Utterance:
    """An utterance of given phones and durations in seconds, with a steady sound."""
    placed, at = [], 0
    for arpa, seconds in phones:
        end = at + round(seconds * SAMPLE_RATE_HZ)
        placed.append(Phone(arpa, at, end, stress, -1 if arpa == SILENCE else 0))
        at = end
    wav = 0.1 * np.sin(2 * np.pi * 120 * np.arange(at) / SAMPLE_RATE_HZ).astype(np.float32)
    return Utterance(SpeechRequest("x"), "test", wav, (), tuple(placed), 0.0)


def intensity(utterance: Utterance, au: int, fps: float = 200.0) -> np.ndarray:
    motion = speech_aus(utterance, fps, int(utterance.duration_s * fps))
    return motion.au_intensity[:, SPEECH_AUS.index(au)]


def at(curve: np.ndarray, seconds: float, fps: float = 200.0) -> float:
    return float(curve[int(seconds * fps)])


def test_every_phone_has_a_viseme_and_every_viseme_a_phone() -> None:
    assert set(VISEME_OF) == PHONES | {SILENCE}
    assert {name for names in VISEME_OF.values() for name in names} == set(VISEMES)
    assert all(0 < intensity <= 5 for viseme in VISEMES.values() for intensity in viseme.targets.values())
    assert {au for viseme in VISEMES.values() for au in viseme.targets} <= set(SPEECH_AUS)


def test_weights_sum_to_one_even_far_away() -> None:
    weight = dominance_weights(
        np.array([-30.0, 0.1, 50.0]),
        np.array([0.0, 0.1]),
        np.array([0.1, 0.2]),
        np.array([[1.0], [2.0]]),
        np.array([0.03]),
        np.array([0.03]),
    )
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    assert np.isfinite(weight).all()


def test_weights_follow_the_formula() -> None:
    time_s, theta_s, alpha = 0.13, 0.04, np.array([1.0, 3.0])
    distance_s = np.array([time_s - 0.05 - 0.35 * 0.05, 0.15 - time_s - 0.35 * 0.05])
    expected = alpha * np.exp(-distance_s / theta_s)
    weight = dominance_weights(
        np.array([time_s]),
        np.array([0.0, 0.1]),
        np.array([0.1, 0.2]),
        alpha[:, None],
        np.array([theta_s]),
        np.array([theta_s]),
    )
    np.testing.assert_allclose(weight[0, :, 0], expected / expected.sum())


def test_weights_check_their_shapes() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="alpha"):
        dominance_weights(one, one, one, np.ones((2, 1)), one, one)
    with pytest.raises(ValueError, match="thetas"):
        dominance_weights(one, one, 2 * one, np.ones((1, 2)), one, one)


@pytest.mark.parametrize(("arpa", "au", "target"), [("AE", 25, 3.0), ("UW", 18, 4.0), ("SH", 22, 3.5), ("F", 28, 2.0)])
def test_a_long_phone_reaches_its_target(arpa: str, au: int, target: float) -> None:
    curve = intensity(utterance_of([("SIL", 0.3), (arpa, 0.4), ("SIL", 0.3)], stress=2), au)
    assert at(curve, 0.5) == pytest.approx(target, rel=0.08)
    assert at(curve, 0.02) < 0.05 * target


def test_lips_meet_in_bilabials_whatever_surrounds_them() -> None:
    for arpa in ("P", "B", "M"):
        for seconds in (0.02, 0.05, 0.09):
            utterance = utterance_of([("AA", 0.15), (arpa, seconds), ("AA", 0.15)])
            for fps in (25.0, 30.0, 60.0):
                motion = speech_aus(utterance, fps, int(utterance.duration_s * fps))
                assert motion.closed.any()
                opening = motion.au_intensity[motion.closed][:, [SPEECH_AUS.index(au) for au in (25, 27)]]
                assert not opening.any()
                assert (motion.au_intensity[motion.closed, SPEECH_AUS.index(24)] >= 2.5).all()


def test_closed_frames_lie_between_20_and_90_percent() -> None:
    utterance = utterance_of([("AA", 0.2), ("M", 0.1), ("AA", 0.2)])
    motion = speech_aus(utterance, 1000.0, 500)
    closed_s = (np.flatnonzero(motion.closed) + 0.5) / 1000
    assert closed_s.min() == pytest.approx(0.22, abs=0.0011)
    assert closed_s.max() == pytest.approx(0.29, abs=0.0011)


def test_a_stop_is_closed_until_its_release() -> None:
    phone = Phone("P", 1600, 3200, release=2400)
    assert constriction_s(phone) == (0.1, 0.15)
    assert constriction_s(Phone("CH", 1600, 3200, release=2400)) == (0.1, 0.2)


def test_lips_touch_the_teeth_in_labiodentals() -> None:
    utterance = utterance_of([("AA", 0.2), ("V", 0.08), ("AA", 0.2)])
    assert intensity(utterance, 28)[int(0.24 * 200)] >= 2.0
    assert intensity(utterance, 25)[int(0.24 * 200)] <= 1.0


def test_rounding_is_anticipated_by_a_tenth_of_a_second_and_more() -> None:
    curve = intensity(utterance_of([("AA", 0.3), ("T", 0.08), ("UW", 0.2), ("SIL", 0.3)], stress=2), 18)
    onset_s = np.flatnonzero(curve > 0.2 * curve.max())[0] / 200
    offset_s = np.flatnonzero(curve > 0.2 * curve.max())[-1] / 200
    assert 0.10 < 0.38 - onset_s < 0.25
    assert 0.38 - onset_s > offset_s - 0.58


def test_stress_opens_the_mouth_and_reduction_closes_it() -> None:
    openings = [intensity(utterance_of([("SIL", 0.2), ("EH", 0.3), ("SIL", 0.2)], s), 25)[70] for s in (1, 2, 0)]
    assert openings[0] > openings[1] > openings[2]
    assert openings[0] / openings[2] == pytest.approx(1.15 / 0.75, rel=0.02)


def test_loud_speech_lowers_the_jaw() -> None:
    quiet = utterance_of([("SIL", 0.2), ("EH", 0.3), ("SIL", 0.2)])
    loud = replace(quiet, gain_db=4.0)
    assert intensity(loud, 26)[70] > 1.1 * intensity(quiet, 26)[70]
    assert intensity(loud, 25)[70] == pytest.approx(intensity(quiet, 25)[70])


def test_a_diphthong_moves_from_its_first_to_its_second_target() -> None:
    utterance = utterance_of([("SIL", 0.2), ("AW", 0.3), ("SIL", 0.2)])
    jaw, rounding = intensity(utterance, 26), intensity(utterance, 18)
    assert at(jaw, 0.25) > 2 * at(jaw, 0.45)
    assert at(rounding, 0.45) > 4 * at(rounding, 0.25)


def test_short_pauses_are_spoken_through_and_long_ones_rest() -> None:
    def opening_in_pause(seconds: float) -> float:
        utterance = utterance_of([("EH", 0.2), ("SIL", seconds), ("EH", 0.2)])
        return at(intensity(utterance, 25), 0.2 + seconds / 2)

    assert opening_in_pause(0.1) > 1.5
    assert opening_in_pause(0.4) < 0.2


def test_mouth_rests_beyond_the_sound() -> None:
    motion = speech_aus(utterance_of([("AA", 0.3)]), 25.0, 50)
    assert motion.au_intensity.shape == (50, len(SPEECH_AUS))
    assert motion.tongue.shape == (50, 10)
    assert motion.au_intensity[-10:, SPEECH_AUS.index(25)].max() < 0.01


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([*VARIED_SENTENCES, *CARRIER_SENTENCES]), st.sampled_from([24.0, 25.0, 29.97, 60.0]))
def test_sentences_give_sound_intensities(text: str, fps: float) -> None:
    utterance = synthesise_formant(SpeechRequest(text, "m1", emotion="anger")).padded(0.2, 6.0)
    motion = speech_aus(utterance, fps, int(6.0 * fps))
    assert np.isfinite(motion.au_intensity).all()
    assert motion.au_intensity.min() >= 0
    assert motion.au_intensity.max() <= 5
    n_bilabials = sum(phone.arpa in ("P", "B", "M") for phone in utterance.phones)
    runs = np.count_nonzero(np.diff(motion.closed.astype(int), prepend=0) == 1)
    assert runs <= n_bilabials
    assert (runs > 0) == (n_bilabials > 0)
    assert not motion.au_intensity[motion.closed, SPEECH_AUS.index(25)].any()


def test_the_mouth_moves_with_the_sound() -> None:
    lags = np.arange(-20, 21)
    correlations, closed_levels, levels = [], [], []
    for i in range(12):
        said = synthesise(VARIED_SENTENCES[5 * i], list(VOICES)[i]).padded(0.3, 4.0)
        motion = speech_aus(said, 100.0, 400)
        opening = motion.au_intensity[:, SPEECH_AUS.index(25)]
        level = 10.0 ** (energy_db(said.wav)[:400] / 20.0)
        correlations.append([np.corrcoef(np.roll(opening, lag)[30:330], level[30:330])[0, 1] for lag in lags])
        closed_levels.extend(level[motion.closed])
        levels.extend(level[level > 1e-3])
    correlation = np.mean(correlations, axis=0)
    assert abs(10 * lags[correlation.argmax()]) <= 30
    assert correlation.max() > 0.5
    assert np.median(closed_levels) < 0.7 * np.median(levels)
