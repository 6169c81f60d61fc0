from collections import Counter

import numpy as np
import pytest

from vultus.data.tables import GROUPS
from vultus.world import sentences
from vultus.world.phones import PHONES
from vultus.world.pronounce import is_known, pronounce
from vultus.world.speech import split_words
from vultus.world.word_chains import WORDS


def test_grid_has_its_64000_sentences() -> None:
    all_sentences = {sentences.grid_sentence(i) for i in range(sentences.N_GRID_SENTENCES)}
    assert len(all_sentences) == 64_000
    assert all(sentence.letter != "w" for sentence in all_sentences)


def test_first_and_last_sentence() -> None:
    assert sentences.grid_sentence(0).transcript == "bin blue at a zero again"
    assert sentences.grid_sentence(63_999).transcript == "set white with z nine soon"
    assert sentences.grid_sentence(0).spoken == "bin blue at A zero again"
    with pytest.raises(ValueError, match="63999"):
        sentences.grid_sentence(64_000)


@pytest.mark.parametrize(
    ("code", "transcript"),
    [
        ("swwp2s", "set white with p two soon"),
        ("bbaf2n", "bin blue at f two now"),
        ("lrizzp", "lay red in z zero please"),
    ],
)
def test_file_codes_of_grid(code: str, transcript: str) -> None:
    sentence = sentences.grid_sentence_of_code(code)
    assert sentence.transcript == transcript
    assert sentence.code == code


def test_every_code_names_its_sentence() -> None:
    for index in range(0, 64_000, 97):
        sentence = sentences.grid_sentence(index)
        assert sentences.grid_sentence_of_code(sentence.code) == sentence


@pytest.mark.parametrize("code", ["", "swwp2", "swww2s", "xwwp2s"])
def test_codes_outside_the_grammar(code: str) -> None:
    with pytest.raises(ValueError, match="GRID"):
        sentences.grid_sentence_of_code(code)


def test_each_group_has_its_own_quarter_of_the_grammar() -> None:
    of_group = Counter(sentences.grid_group(sentences.grid_sentence(i)) for i in range(0, 64_000, 7))
    assert set(of_group) == set(GROUPS)
    assert all(abs(4 * count / of_group.total() - 1) < 0.06 for count in of_group.values())
    rng = np.random.default_rng(0)
    drawn = {group: {sentences.draw_grid_sentence(group, rng) for _ in range(200)} for group in GROUPS}
    for group, said in drawn.items():
        assert {sentences.grid_group(sentence) for sentence in said} == {group}
        # Nothing but the whole sentence tells the groups apart.
        for place in range(6):
            assert len({sentence.words[place] for sentence in said}) >= 4
    with pytest.raises(ValueError, match="none of the groups"):
        sentences.draw_grid_sentence("nobody", rng)


def test_varied_sentences_hold_every_phone() -> None:
    assert len(sentences.VARIED_SENTENCES) >= 60
    assert len(set(sentences.VARIED_SENTENCES)) == len(sentences.VARIED_SENTENCES)
    spoken = {
        phone
        for text in sentences.VARIED_SENTENCES
        for token in split_words(text)
        for phone, _ in pronounce(token.text)
    }
    assert spoken == PHONES - {"DX"}


def test_the_lexicon_knows_every_word_that_is_said() -> None:
    grid = " ".join(
        (*sentences.COMMANDS, *sentences.COLOURS, *sentences.PREPOSITIONS, *sentences.DIGITS, *sentences.ADVERBS)
    )
    texts = (grid, *sentences.VARIED_SENTENCES, *sentences.CARRIER_SENTENCES, *WORDS)
    unknown = {token.text for text in texts for token in split_words(text) if not is_known(token.text)}
    assert not unknown


def test_unknown_words_are_read_by_rule() -> None:
    assert pronounce("plate") == [("P", 0), ("L", 0), ("EY", 1), ("T", 0)]
    assert [phone for phone, _ in pronounce("shook")] == ["SH", "UW", "K"]
    assert [phone for phone, _ in pronounce("42")] == ["F", "AO", "R", "T", "UW"]
    assert [phone for phone, _ in pronounce("z", is_letter_name=True)] == ["Z", "EH", "D"]
