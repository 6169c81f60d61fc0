"""Melodies of emotions: as drawn, and as measured in the sound."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.audio.pitch import f0_autocorrelation
from vultus.core.errors import UserError
from vultus.world import delivery
from vultus.world.speech import SpeechRequest, synthesise


def melodies(emotion: str, n_words: int = 7, n: int = 400) -> np.ndarray:
    """(n, words) in semitones."""
    return np.stack([delivery.melody_st(emotion, n_words, np.random.default_rng(i)) for i in range(n)])


def test_melodies_have_the_shapes_that_they_are_described_with() -> None:
    per_percent = delivery.ST_PER_PERCENT
    anger = melodies("anger")
    assert (np.sign(anger.mean(axis=0)) == [1, -1, 1, -1, 1, -1, 1]).all()
    np.testing.assert_allclose(np.abs(anger).mean(), 25 * per_percent, rtol=0.05)
    slope = np.polyfit(np.arange(7), melodies("sadness").mean(axis=0), 1)[0]
    assert slope == pytest.approx(-3 * per_percent, rel=0.1)
    line = np.linspace(12, -12, 7) + 12 * (np.arange(7) % 3 == 0)
    np.testing.assert_allclose(melodies("disgust").mean(axis=0), line * per_percent, atol=0.06)
    for emotion, percent in (("fear", 8.0), ("boredom", 1.5), ("neutral", 5.0)):
        assert melodies(emotion).std() == pytest.approx(percent * per_percent, rel=0.05)
    happiness = melodies("happiness") / per_percent
    np.testing.assert_allclose(happiness.std(), np.hypot(22 / np.sqrt(2), 4), rtol=0.05)
    # A sine of period 3.5 words is opposite to itself 7 / 4 words on: neighbours but one differ most.
    assert (happiness[:, 2:] * happiness[:, :-2]).mean() < 0 < (happiness[:, 4:] * happiness[:, :-4]).mean()


def test_confounders_hide_what_an_emotion_does_to_the_whole_utterance() -> None:
    drawn = {
        emotion: [delivery.draw_delivery(emotion, 6, np.random.default_rng(i)) for i in range(300)]
        for emotion in delivery.DELIVERED_EMOTIONS
    }
    levels = {emotion: np.array([one.level_st for one in of]) for emotion, of in drawn.items()}
    assert levels["fear"].mean() - levels["neutral"].mean() == pytest.approx(1.6, abs=0.25)
    assert all(of.std() == pytest.approx(delivery.LEVEL_SD_ST, rel=0.15) for of in levels.values())
    rates = {emotion: np.mean([one.rate_scale for one in of]) for emotion, of in drawn.items()}
    assert rates["fear"] > rates["anger"] > rates["neutral"] > rates["boredom"] > rates["disgust"]
    gains = {emotion: np.mean([one.gain_db for one in of]) for emotion, of in drawn.items()}
    assert gains["anger"] == pytest.approx(20 * np.log10(1.3), abs=0.4)
    # Anger and happiness have the same level, fear's lies 0.2 spreads higher: the level alone cannot tell them apart.
    assert levels["fear"].mean() - levels["anger"].mean() < 0.5 * delivery.LEVEL_SD_ST


def test_a_delivery_is_a_function_of_its_generator() -> None:
    one, again, other = (delivery.draw_delivery("happiness", 5, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one == again != other
    with pytest.raises(UserError, match="hunger"):
        delivery.draw_delivery("hunger", 5, np.random.default_rng(0))


def words_st(request: SpeechRequest) -> np.ndarray:
    """(words,) measured median pitch of each word in semitones above 1 Hz; NaN where it is not voiced enough."""
    said = synthesise(
        request.text, request.voice, melody_st=request.melody_st, gain_db=request.gain_db, range_scale=0.3
    )
    f0_hz = f0_autocorrelation(said.wav)
    found = []
    for word in said.words:
        voiced = f0_hz[word.start // 160 : word.end // 160]
        voiced = voiced[voiced > 0]
        found.append(12 * np.log2(np.median(voiced)) if len(voiced) >= 5 else np.nan)
    return np.array(found)


@pytest.mark.parametrize("voice", ["f1", "m2"])
def test_the_sound_follows_the_melody(voice: str) -> None:
    text = "We are taking the morning train"
    flat = words_st(SpeechRequest(text, voice, melody_st=(0.0,) * 6))
    for emotion in ("anger", "disgust"):
        melody = delivery.melody_st(emotion, 6, np.random.default_rng(1))
        moved = words_st(SpeechRequest(text, voice, melody_st=tuple(melody.tolist()))) - flat
        heard = np.isfinite(moved)
        assert heard.sum() >= 4
        assert np.corrcoef(moved[heard], melody[heard])[0, 1] > 0.8


def test_loudness_of_a_request_and_melodies_of_another_length() -> None:
    text = "The letter is lying on the table."
    loud, soft = (synthesise(text, "f1", gain_db=gain) for gain in (-6.0, -12.0))
    rms = [float(np.sqrt(np.mean(one.wav**2))) for one in (loud, soft)]
    assert 20 * np.log10(rms[0] / rms[1]) == pytest.approx(6.0, abs=0.05)
    with pytest.raises(UserError, match="2 values for the 7 words"):
        synthesise(text, "f1", melody_st=(0.0, 1.0))
