"""What the people of the embedded world say.

* the GRID grammar (Cooke et al. 2006): command colour preposition letter digit adverb, 64,000 sentences;
* phonetically varied sentences in the manner of TIMIT's, written for this project, on which synthesisers are measured;
* carrier sentences of neutral content, to be said in any emotion.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from vultus.data.tables import GROUPS

COMMANDS = ("bin", "lay", "place", "set")
COLOURS = ("blue", "green", "red", "white")
PREPOSITIONS = ("at", "by", "in", "with")
LETTERS = tuple("abcdefghijklmnopqrstuvxyz")
"""Without w, whose name has three syllables."""
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ADVERBS = ("again", "now", "please", "soon")
_SLOTS = (COMMANDS, COLOURS, PREPOSITIONS, LETTERS, DIGITS, ADVERBS)

N_GRID_SENTENCES = 64_000


@dataclass(frozen=True)
class GridSentence:
    """One sentence of the GRID grammar."""

    command: str
    colour: str
    preposition: str
    letter: str
    digit: str
    adverb: str

    @property
    def words(self) -> tuple[str, ...]:
        """The six words in lower case."""
        return (self.command, self.colour, self.preposition, self.letter, self.digit, self.adverb)

    @property
    def transcript(self) -> str:
        """The words in lower case: ``bin blue at a two now``."""
        return " ".join(self.words)

    @property
    def spoken(self) -> str:
        """For the synthesiser: the letter is a capital, so that its name is said."""
        return " ".join((self.command, self.colour, self.preposition, self.letter.upper(), self.digit, self.adverb))

    @property
    def code(self) -> str:
        """GRID's file name of the sentence: the initials, with z for zero: ``bbaa2n``."""
        digit = "z" if self.digit == "zero" else str(DIGITS.index(self.digit))
        return self.command[0] + self.colour[0] + self.preposition[0] + self.letter + digit + self.adverb[0]


def grid_sentence(index: int) -> GridSentence:
    """The sentence number ``index`` of the grammar; the adverb runs fastest.

    Raises:
        ValueError: the index lies outside 0..63999.
    """
    if not 0 <= index < N_GRID_SENTENCES:
        raise ValueError(f"GRID has sentences 0..{N_GRID_SENTENCES - 1}, not {index}")
    words = []
    for slot in reversed(_SLOTS):
        index, at = divmod(index, len(slot))
        words.append(slot[at])
    return GridSentence(*reversed(words))


def grid_group(sentence: GridSentence) -> str:
    """The one of ``tables.GROUPS`` whose people say this sentence: about a quarter of all each, by the code's hash."""
    return GROUPS[hashlib.sha256(sentence.code.encode()).digest()[0] % len(GROUPS)]


def draw_grid_sentence(group: str, rng: np.random.Generator) -> GridSentence:
    """A sentence of a group's people, each equally often; no other group says it.

    Raises:
        ValueError: the group is not one of ``tables.GROUPS``.
    """
    if group not in GROUPS:
        raise ValueError(f"{group!r} is none of the groups {', '.join(GROUPS)}")
    while True:
        sentence = grid_sentence(int(rng.integers(N_GRID_SENTENCES)))
        if grid_group(sentence) == group:
            return sentence


def grid_sentence_of_code(code: str) -> GridSentence:
    """The sentence of a GRID file name such as ``swwp2s``.

    Raises:
        ValueError: the code is not six characters of the grammar.
    """
    if len(code) != len(_SLOTS):
        raise ValueError(f"a GRID code has {len(_SLOTS)} characters, not {code!r}")
    words = []
    for character, slot in zip(code, _SLOTS, strict=True):
        names = tuple("z" if word == "zero" else str(DIGITS.index(word)) for word in slot) if slot is DIGITS else slot
        found = [word for word, name in zip(slot, names, strict=True) if name[0] == character]
        if not found:
            raise ValueError(f"{character!r} in the GRID code {code!r} is not among {', '.join(slot)}")
        words.append(found[0])
    return GridSentence(*words)


VARIED_SENTENCES = (
    "The young chef measured six cups of thick yoghurt.",
    "Both boys joined the choir in early autumn.",
    "Her vague answer left the whole jury puzzled.",
    "A wooden bridge crosses the shallow stream.",
    "Please fetch my grey umbrella from the hallway.",
    "Few children enjoy such bitter orange peel.",
    "The noisy crowd pushed towards the open gate.",
    "We usually measure rainfall at the weather station.",
    "Twelve thin candles burned above the fireplace.",
    "She chose a cheap watch with a leather strap.",
    "Good cooks never rush a mushroom sauce.",
    "This old map shows every village on the coast.",
    "My cousin paints huge pictures of tigers.",
    "The judge asked which road the lorry took.",
    "Warm bread and honey make a fine breakfast.",
    "Their vessel vanished beyond the northern ridge.",
    "Why did you put the purple vase outside?",
    "A quick fox slipped through the garden fence.",
    "Smooth ice covered the bottom of the bucket.",
    "The teacher thanked us for our patience.",
    "Those gloves were lying under the blue cushion.",
    "Every Thursday the band plays in the square.",
    "He poured boiling water over the ginger root.",
    "A sharp noise woke the baby at dawn.",
    "They would rather walk than wait for a bus.",
    "The pilot checked both wings before takeoff.",
    "Fresh oysters are served with lemon juice.",
    "Our neighbour built a birdhouse from cherry wood.",
    "The law allows three months for an appeal.",
    "I heard the usual joke about engineers again.",
    "Put the heavy boxes near the kitchen door.",
    "A beige jumper hung on the back of his chair.",
    "The shepherd counted ninety sheep that evening.",
    "You should book a table for half past eight.",
    "Thunder rolled along the edge of the valley.",
    "The museum owns a rare Egyptian necklace.",
    "Could anyone explain what the green button does?",
    "Two white horses grazed beside the river.",
    "The choice of colour gave us much pleasure.",
    "Grandfather keeps his fishing rod in the loft.",
    "An honest clerk returned the missing purse.",
    "Many workers favour the shorter shift.",
    "The puppy chewed a hole in my new shoe.",
    "Cold fog drifted slowly across the harbour.",
    "She whispered the answer into his ear.",
    "The author revised each chapter nine times.",
    "Bees gather pollen from the yellow flowers.",
    "A fair judge listens before she speaks.",
    "The garage usually charges five pounds an hour.",
    "His brother thought the film was dull.",
    "Jane baked a pie with plums and almonds.",
    "The train leaves from platform number four.",
    "Nothing grows there except moss and heather.",
    "We found a brass key beneath the stairs.",
    "The queen's treasure was never discovered.",
    "Young owls hatch during the first week of May.",
    "Push the lever down until it clicks.",
    "A violin needs more care than a tuba.",
    "The farmer's hay was dry enough to store.",
    "Both of these soups taste rather salty.",
    "Children shouted with joy as snow began to fall.",
    "The mayor opened a bridge for cyclists.",
    "Sugar dissolves faster in hot tea.",
    "Who left muddy footprints on the beige rug?",
    "The lighthouse beam swept over the bay.",
    "Lucy caught a cold while camping in March.",
    "The coach gave every player a fresh towel.",
    "Large pearls are worth more than small ones.",
    "He would not trade his violin for a yacht.",
    "The path curves gently round the pond.",
    "Some birds can sleep while they are flying.",
    "The thief fled through an open window.",
)
"""72 sentences that together hold every ARPAbet phone in many contexts; 5 to 10 words each."""

CARRIER_SENTENCES = (
    "The letter is lying on the table.",
    "They have bought a new car.",
    "She is coming home on Monday.",
    "The shop opens again at seven.",
    "He carried the parcel upstairs.",
    "We are taking the morning train.",
    "The window in the hall was open.",
    "It will be ready in half an hour.",
    "My sister called us from the station.",
    "There is a meeting after lunch.",
    "The children are playing outside.",
    "He has put the keys in the drawer.",
    "I am going to the market now.",
    "The bag belongs to my neighbour.",
    "They moved here eleven years ago.",
    "The doctor will see you next week.",
    "Somebody is knocking at the door.",
    "We can talk about it this evening.",
    "The book was under the blue chair.",
    "She told me the number twice.",
    "It has been raining since noon.",
    "The bus stops near the library.",
    "He always leaves before the others.",
    "Our dinner is on the stove.",
)
"""24 sentences of everyday content that fit any emotion."""

UTTERANCE_SENTENCES = CARRIER_SENTENCES[:10]
"""What the emotional utterances are said with; EmoDB has ten sentences too."""
