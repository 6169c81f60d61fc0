import hashlib
import json
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

from vultus.audio.pitch import f0_autocorrelation
from vultus.core.errors import UserError
from vultus.world import speech
from vultus.world.espeak import divide_phones
from vultus.world.phones import PHONES, SILENCE, STOPS, VOICELESS, arpabet
from vultus.world.sentences import CARRIER_SENTENCES, DIGITS, LETTERS, VARIED_SENTENCES, grid_sentence
from vultus.world.speech import SpeechRequest, Utterance, split_words, synthesise, synthesise_many

needs_espeak = pytest.mark.skipif(not speech.espeak_available(), reason="espeakng-loader is not installed")

RATE = speech.SAMPLE_RATE_HZ


def digest(utterance: Utterance) -> str:
    text = json.dumps(utterance.record(), sort_keys=True)
    return hashlib.sha256(utterance.wav.tobytes() + text.encode()).hexdigest()


def digest_of(request: SpeechRequest) -> str:
    return digest(synthesise_many([request])[0])


def phones_of(utterance: Utterance, word: int) -> list[str]:
    return [phone.arpa for phone in utterance.phones if phone.word == word]


def median_f0_hz(utterance: Utterance) -> float:
    f0_hz = f0_autocorrelation(utterance.wav, 55, 500)
    return float(np.median(f0_hz[f0_hz > 0]))


def check_record(utterance: Utterance) -> None:
    """What every utterance promises, whoever speaks it."""
    assert utterance.wav.dtype == np.float32
    assert utterance.wav.ndim == 1
    assert np.abs(utterance.wav).max() <= 0.981
    assert [word.text for word in utterance.words] == [t.text for t in split_words(utterance.request.text)]
    at = 0
    for phone in utterance.phones:
        assert phone.start == at
        assert phone.end > phone.start
        assert phone.arpa in PHONES | {SILENCE}
        assert (phone.word == -1) == (phone.arpa == SILENCE)
        assert (phone.start <= phone.release <= phone.end) if phone.arpa in STOPS else phone.release == -1
        at = phone.end
    assert at == utterance.n_samples
    for i, word in enumerate(utterance.words):
        own = [phone for phone in utterance.phones if phone.word == i]
        assert (own[0].start, own[-1].end) == (word.start, word.end)
    spoken = [phone.word for phone in utterance.phones if phone.word >= 0]
    assert spoken == sorted(spoken)


@needs_espeak
def test_every_sentence_has_a_whole_record() -> None:
    voices = list(speech.VOICES)
    texts = [*VARIED_SENTENCES, *CARRIER_SENTENCES, *(grid_sentence(i).spoken for i in range(0, 64_000, 911))]
    requests = [SpeechRequest(text, voices[i % len(voices)]) for i, text in enumerate(texts)]
    for utterance in synthesise_many(requests):
        check_record(utterance)


@needs_espeak
def test_twelve_and_more_voices_differ_and_have_their_sex() -> None:
    assert len(speech.VOICES) >= 12
    utterances = {name: synthesise("Lay green by M nine again.", name) for name in speech.VOICES}
    assert len({digest(u) for u in utterances.values()}) == len(speech.VOICES)
    for name, utterance in utterances.items():
        voice = speech.VOICES[name]
        f0_hz = median_f0_hz(utterance)
        assert f0_hz == pytest.approx(voice.f0_hz, rel=0.12), name
        assert (f0_hz > 150) == (voice.sex == "female"), name
    assert set(speech.voices_of("female")) | set(speech.voices_of("male")) == set(speech.VOICES)


@needs_espeak
def test_same_bytes_whatever_was_spoken_before() -> None:
    wanted = [SpeechRequest("Set red in Q nine soon.", voice) for voice in speech.VOICES]
    first = [digest_of(request) for request in wanted]
    for request, expected in zip(reversed(wanted), reversed(first), strict=True):
        synthesise("Something else in between, with other sounds!", "f2", emotion="anger")
        assert digest_of(request) == expected, request.voice


@needs_espeak
def test_same_bytes_in_a_fresh_process() -> None:
    requests = [SpeechRequest("The judge asked which road the lorry took.", v, emotion="fear") for v in ("f2", "m7")]
    code = (
        "import hashlib\nfrom vultus.world.speech import SpeechRequest, synthesise_many\n"
        "for v in ('m7', 'f2'):\n"
        "    u = synthesise_many([SpeechRequest('The judge asked which road the lorry took.', v, emotion='fear')])[0]\n"
        "    print(hashlib.sha256(u.wav.tobytes()).hexdigest())\n"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    here = [hashlib.sha256(synthesise_many([r])[0].wav.tobytes()).hexdigest() for r in requests]
    assert fresh == here[::-1]


@needs_espeak
def test_a_forked_process_speaks_through_a_worker_of_its_own() -> None:
    request = SpeechRequest("Place white at B two please.", "m3")
    here = digest_of(request)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(digest_of, [request] * 4, chunksize=1) == [here] * 4
    assert digest_of(request) == here


@needs_espeak
def test_letters_are_named_not_read() -> None:
    def letter(text: str) -> list[str]:
        return phones_of(synthesise(f"bin blue at {text} two now", "m1"), 3)

    assert letter("A") == ["EY"]
    assert letter("a") == ["AX"]
    assert phones_of(synthesise("A wooden bridge.", "m1"), 0) == ["AX"]
    names = {name: letter(name.upper()) for name in LETTERS}
    assert len({tuple(phones) for phones in names.values()}) == len(LETTERS)
    assert names["z"] == ["Z", "EH", "D"]
    assert names["l"] == ["EH", "L"]
    assert phones_of(synthesise("bin blue at Z two now", "m2"), 3) == ["Z", "IY"]


@needs_espeak
def test_digits_of_the_grammar_are_pronounced() -> None:
    expected = {
        "two": "T UW",
        "three": "TH R IY",
        "five": "F AY V",
        "six": "S IH K S",
        "eight": "EY T",
        "nine": "N AY N",
    }
    for digit in DIGITS:
        said = " ".join(phones_of(synthesise(f"lay red with K {digit} again", "m1"), 4))
        assert said == expected.get(digit, said)


@needs_espeak
def test_linked_words_get_their_own_phones() -> None:
    utterance = synthesise("One of the boys sat in the garden.", "m1")
    assert phones_of(utterance, 1) == ["AA", "V"]
    assert phones_of(utterance, 2) == ["DH", "AX"]
    assert phones_of(utterance, 5) == ["IH", "N"]
    assert phones_of(utterance, 6) == ["DH", "AX"]
    assert phones_of(utterance, 7)[0] == "G"


def test_phones_are_divided_by_pronunciation() -> None:
    assert divide_phones(["IH", "N", "DH", "AX"], [["IH", "N"], ["DH", "IY"]]) == [2]
    assert divide_phones(["AA", "V", "DH", "AX", "K"], [["AX", "V"], ["DH", "AX"], ["K"]]) == [2, 4]
    assert divide_phones(["AX", "AX"], [["EY"], ["EY"]]) == [1]
    with pytest.raises(ValueError, match="divided"):
        divide_phones(["AX"], [["EY"], ["EY"]])


@needs_espeak
def test_closures_of_voiceless_stops_are_silent_and_bursts_are_not() -> None:
    levels_db: dict[str, list[float]] = {"closure": [], "burst": []}
    for utterance in synthesise_many(SpeechRequest(text, "m1") for text in CARRIER_SENTENCES):
        for phone in utterance.phones:
            if phone.arpa in STOPS & VOICELESS and phone.release - phone.start > 0.02 * RATE:
                length = phone.release - phone.start
                closure = utterance.wav[phone.start + length // 4 : phone.start + 3 * length // 4]
                burst = utterance.wav[phone.release : phone.release + 240]
                for name, part in (("closure", closure), ("burst", burst)):
                    levels_db[name].append(20 * np.log10(np.sqrt(np.square(part).mean()) + 1e-6))
    assert len(levels_db["closure"]) > 40
    assert np.percentile(levels_db["closure"], 90) < -60
    assert np.median(levels_db["burst"]) > -45


@needs_espeak
def test_phones_lie_where_their_sound_is() -> None:
    vowels, hisses, high_share = [], [], []
    for utterance in synthesise_many(SpeechRequest(text, "f1") for text in CARRIER_SENTENCES):
        voiced = f0_autocorrelation(utterance.wav) > 0
        for phone in utterance.phones:
            inside = voiced[phone.start // 160 + 2 : phone.end // 160 - 1]
            if phone.stress == 1:
                vowels.extend(inside)
            if phone.arpa in ("S", "SH"):
                hisses.extend(inside)
                power = np.abs(np.fft.rfft(utterance.wav[phone.start : phone.end])) ** 2
                high_share.append(power[len(power) // 4 :].sum() / power.sum())
    assert np.mean(vowels) > 0.85
    assert np.mean(hisses) < 0.02
    assert np.percentile(high_share, 10) > 0.7


@needs_espeak
def test_rate_pitch_and_emotion_do_what_they_say() -> None:
    text = CARRIER_SENTENCES[0]
    neutral = synthesise(text, "f1")
    assert synthesise(text, "f1", rate_wpm=110).duration_s > 1.25 * neutral.duration_s
    up = 12 * np.log2(median_f0_hz(synthesise(text, "f1", pitch_st=4)) / median_f0_hz(neutral))
    assert up == pytest.approx(4, abs=1)
    happy, sad, angry = (synthesise(text, "f1", emotion=e) for e in ("happiness", "sadness", "anger"))
    assert median_f0_hz(happy) > 1.15 * median_f0_hz(neutral) > 1.25 * median_f0_hz(sad)
    assert sad.duration_s > 1.15 * neutral.duration_s > 1.2 * angry.duration_s
    assert angry.wav.std() > neutral.wav.std() > sad.wav.std()
    np.testing.assert_array_equal(synthesise(text, "f1", emotion="anger", strength=0.0).wav, neutral.wav)


@needs_espeak
def test_takes_differ_a_little() -> None:
    first, second = (synthesise(CARRIER_SENTENCES[2], "m2", take=take) for take in (0, 1))
    assert digest(first) != digest(second)
    assert [p.arpa for p in first.phones] == [p.arpa for p in second.phones]
    assert abs(first.duration_s - second.duration_s) < 0.1


@needs_espeak
def test_padding_moves_every_time() -> None:
    plain = synthesise("bin red by A two now", "m1")
    placed = plain.padded(0.4, 3.0)
    check_record(placed)
    assert placed.n_samples == 48_000
    assert not placed.wav[:6400].any()
    np.testing.assert_array_equal(placed.wav[6400 : 6400 + plain.n_samples], plain.wav)
    assert placed.words[0].start == plain.words[0].start + 6400
    assert [p.arpa for p in placed.phones] == [SILENCE, *[p.arpa for p in plain.phones], SILENCE]
    with pytest.raises(ValueError, match="fit"):
        plain.padded(0.4, 1.0)


@needs_espeak
def test_units_are_rows_of_the_table() -> None:
    units = synthesise("bin red by A two now", "m1").units()
    words = [unit["label"] for unit in units if unit["tier"] == "word"]
    assert words == ["bin", "red", "by", "a", "two", "now"]
    assert all(0 <= unit["start_s"] < unit["end_s"] for unit in units)


def test_words_and_punctuation_are_told_apart() -> None:
    tokens = split_words("Bin, blue at A; don't 'go'.")
    assert [t.written for t in tokens] == ["Bin", "blue", "at", "A", "don't", "go"]
    assert [t.punctuation for t in tokens] == [",", "", "", ";", "", "."]
    assert [t.is_letter_name for t in tokens] == [False, False, False, True, False, False]
    assert not any(t.is_letter_name for t in split_words("A fox and I ran. A dog slept."))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (SpeechRequest("hello", "nobody"), "no voice"),
        (SpeechRequest("...", "m1"), "no word"),
        (SpeechRequest("hello", "m1", rate_wpm=20), "80..450"),
        (SpeechRequest("hello", "m1", emotion="hunger"), "hunger"),
    ],
)
def test_requests_that_cannot_be_spoken(request_: SpeechRequest, message: str) -> None:
    with pytest.raises(UserError, match=message):
        synthesise_many([request_])


@needs_espeak
def test_worker_reports_an_unknown_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speech.VOICES, "x", speech.Voice("male", "xx-nowhere", 100, 1.0))
    with pytest.raises(UserError, match="xx-nowhere"):
        synthesise("hello", "x")
    assert synthesise("hello", "m1").words[0].text == "hello"


def test_without_espeak_the_world_speaks_with_its_own_voice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speech, "espeak_available", lambda: False)
    speech._say_that_espeak_is_missing.cache_clear()
    utterances = synthesise_many([SpeechRequest("bin blue at A two now", voice) for voice in ("f1", "m1")])
    assert {u.synthesiser for u in utterances} == {"formant"}
    assert capsys.readouterr().err.count("eSpeak NG is not installed") == 1


def test_mnemonics_follow_the_accent() -> None:
    assert arpabet("'A@", rhotic=True) == (("AA", "R"), 1)
    assert arpabet("'A@", rhotic=False) == (("AA",), 1)
    assert arpabet("3", rhotic=False) == (("AX",), 0)
    assert arpabet(",eI", rhotic=True) == (("EY",), 2)
    assert arpabet("_:", rhotic=True) == ((SILENCE,), 0)
    assert arpabet(";", rhotic=True) == ((), 0)
    with pytest.raises(ValueError, match="no ARPAbet class"):
        arpabet("q!", rhotic=True)
