import json

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz

from vultus.audio.pitch import f0_autocorrelation
from vultus.world.formant import VOWEL_FORMANTS_HZ, synthesise_formant
from vultus.world.phones import PHONES, SILENCE, STOPS, VOICELESS
from vultus.world.sentences import CARRIER_SENTENCES, VARIED_SENTENCES
from vultus.world.speech import SAMPLE_RATE_HZ, VOICES, SpeechRequest, Utterance, split_words


def lpc_formants_hz(sound: np.ndarray, order: int = 18) -> list[float]:
    """Frequencies of the narrow poles of a linear prediction, lowest first."""
    emphasised = np.append(sound[0], sound[1:] - 0.97 * sound[:-1]) * np.hamming(len(sound))
    correlation = np.correlate(emphasised, emphasised, "full")[len(sound) - 1 :][: order + 1]
    correlation[0] *= 1 + 1e-6
    predictor = np.concatenate([[1.0], -solve_toeplitz(correlation[:-1], correlation[1:])])
    poles = np.roots(predictor)
    poles = poles[poles.imag > 0]
    frequency = np.angle(poles) * SAMPLE_RATE_HZ / (2 * np.pi)
    bandwidth = -np.log(np.abs(poles)) * SAMPLE_RATE_HZ / np.pi
    return sorted(frequency[(bandwidth < 500) & (frequency > 150)])


def stressed_vowel(word: str, voice: str) -> tuple[str, np.ndarray]:
    utterance = synthesise_formant(SpeechRequest(f"the {word}", voice))
    phone = next(p for p in utterance.phones if p.stress)
    middle = (phone.start + phone.end) // 2
    return phone.arpa, utterance.wav[middle - 320 : middle + 320].astype(float)


@pytest.mark.parametrize("word", ["see", "six", "red", "back", "car", "law", "book", "soon", "bus", "bird"])
def test_formants_of_a_man_are_the_planned_ones(word: str) -> None:
    arpa, sound = stressed_vowel(word, "m1")
    measured = lpc_formants_hz(sound)
    for planned in VOWEL_FORMANTS_HZ[arpa][:2]:
        assert min(abs(f - planned * VOICES["m1"].vocal_tract) / planned for f in measured) < 0.10, (arpa, measured)


def test_a_womans_formants_lie_higher() -> None:
    for word in ("see", "car"):
        _, low = stressed_vowel(word, "m1")
        _, high = stressed_vowel(word, "f8")
        assert lpc_formants_hz(high)[1] > 1.1 * lpc_formants_hz(low)[1]


def test_pitch_is_the_voices_and_follows_the_request() -> None:
    def f0_hz(voice: str, **how: float) -> float:
        track = f0_autocorrelation(synthesise_formant(SpeechRequest(CARRIER_SENTENCES[0], voice, **how)).wav, 55, 500)
        return float(np.median(track[track > 0]))

    for voice in VOICES:
        assert f0_hz(voice) == pytest.approx(VOICES[voice].f0_hz, rel=0.15), voice
    assert 12 * np.log2(f0_hz("f1", pitch_st=5) / f0_hz("f1")) == pytest.approx(5, abs=0.7)


def test_pitch_declines() -> None:
    utterance = synthesise_formant(SpeechRequest(VARIED_SENTENCES[0], "m1"))
    track = f0_autocorrelation(utterance.wav)
    first, last = (part[part > 0] for part in np.array_split(track, 3)[::2])
    assert np.median(first) > np.median(last)


def check_record(utterance: Utterance) -> None:
    assert utterance.synthesiser == "formant"
    at = 0
    for phone in utterance.phones:
        assert phone.start == at
        assert phone.end > phone.start
        assert phone.arpa in PHONES | {SILENCE}
        assert (phone.start < phone.release < phone.end) if phone.arpa in STOPS else phone.release == -1
        at = phone.end
    assert at == len(utterance.wav)
    assert [word.text for word in utterance.words] == [token.text for token in split_words(utterance.request.text)]
    assert np.isfinite(utterance.wav).all()
    assert 0.05 < np.abs(utterance.wav).max() <= 0.981


def test_every_sentence_has_a_whole_record() -> None:
    for i, text in enumerate((*VARIED_SENTENCES[::3], *CARRIER_SENTENCES[::3])):
        check_record(synthesise_formant(SpeechRequest(text, list(VOICES)[i % len(VOICES)])))


def test_closures_and_pauses_are_silent() -> None:
    levels_db = []
    for text in (*CARRIER_SENTENCES[:8], "one, two, three"):
        utterance = synthesise_formant(SpeechRequest(text, "m2"))
        for phone in utterance.phones:
            stop = phone.end if phone.arpa == SILENCE else phone.release
            if phone.arpa == SILENCE or phone.arpa in STOPS & VOICELESS:
                length = stop - phone.start
                closure = utterance.wav[phone.start + length // 2 : stop - 80]
                levels_db.append(20 * np.log10(np.sqrt(np.square(closure).mean()) + 1e-6))
    assert np.max(levels_db) < -50


def test_vowels_are_louder_than_fricatives_and_voiced() -> None:
    utterance = synthesise_formant(SpeechRequest("see the fish and the shoe", "m1"))
    rms = {p.arpa: np.sqrt(np.square(utterance.wav[p.start : p.end]).mean()) for p in utterance.phones}
    assert rms["IY"] > rms["S"] > rms["F"]
    voiced = f0_autocorrelation(utterance.wav) > 0
    vowels = np.concatenate([voiced[p.start // 160 + 2 : p.end // 160 - 1] for p in utterance.phones if p.stress])
    assert vowels.mean() > 0.95


def test_same_request_same_bytes() -> None:
    request = SpeechRequest("set white with P two soon", "f3", emotion="anger")
    first, second = synthesise_formant(request), synthesise_formant(request)
    np.testing.assert_array_equal(first.wav, second.wav)
    assert json.dumps(first.record()) == json.dumps(second.record())
    other = synthesise_formant(SpeechRequest("set white with P two soon", "f3", emotion="anger", take=1))
    assert other.n_samples != first.n_samples
