from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from vultus.core.errors import UserError
from vultus.recognition.lexicon import ENGLISH, Lexicon, merge, observe, read_dictionary
from vultus.world.phones import PHONES as WORLD_PHONES
from vultus.world.word_chains import WORDS


def test_phones_belong_to_the_word_that_holds_their_middle() -> None:
    words = [("see", 0.1, 0.3), ("dog", 0.3, 0.6)]
    phones = [
        ("SIL", 0.0, 0.1),
        ("S", 0.1, 0.2),
        ("IY", 0.2, 0.31),
        ("D", 0.31, 0.4),
        ("AO", 0.4, 0.5),
        ("G", 0.5, 0.6),
    ]
    heard = observe([(words, phones), (words[:1], phones[:3])])
    assert heard == {"see": Counter({("S", "IY"): 2}), "dog": Counter({("D", "AO", "G"): 1})}
    with pytest.raises(UserError, match="the units name a phone 'Q'"):
        observe([([], [("Q", 0.0, 1.0)])])


def test_what_was_heard_comes_before_the_dictionary() -> None:
    heard = {"to": Counter({("T", "AX"): 5, ("T", "UH"): 1})}
    known = Lexicon({"to": (("T", "UW"),), "sea": (("S", "IY"),)})
    merged = merge(heard, known)
    assert merged.pronunciations == {"sea": (("S", "IY"),), "to": (("T", "AX"), ("T", "UH"), ("T", "UW"))}
    assert merge(heard, known, max_variants=1).pronunciations["to"] == (("T", "AX"),)
    assert merged.word_id == {"sea": 1, "to": 2}


def test_a_dictionary_in_the_form_of_cmu(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_text(";;; comment\nTO  T UW1\nTO(2)  T AX0\nSEA  S IY1\n")
    assert read_dictionary(path).pronunciations == {"to": (("T", "UW"), ("T", "AX")), "sea": (("S", "IY"),)}
    path.write_text("to T UX\n")
    with pytest.raises(UserError, match="line 1: to has the unknown phone 'UX'"):
        read_dictionary(path)
    with pytest.raises(UserError, match="place the pronunciation dictionary there"):
        read_dictionary(tmp_path / "none.txt")


def test_the_small_dictionary_knows_the_words_of_the_embedded_sentences_and_their_phones() -> None:
    english = read_dictionary(ENGLISH)
    assert set(WORDS) <= set(english.words)
    used = {phone for variants in english.pronunciations.values() for phones in variants for phone in phones}
    assert used <= WORLD_PHONES
