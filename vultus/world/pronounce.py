"""Words -> ARPAbet for the fallback synthesiser: a lexicon of what the embedded world says, rules for other words.

Written for this project. A 1 behind a vowel marks the primary stress.
"""

from __future__ import annotations

import functools

from vultus.world.phones import VOWELS

_LEXICON = """
a AX|about AX-B-AW1-T|above AX-B-AH1-V|across AX-K-R-AO1-S|after AE1-F-T-AXR|again AX-G-EH1-N|ago AX-G-OW1
allows AX-L-AW1-Z|almonds AA1-M-AX-N-D-Z|along AX-L-AO1-NG|always AO1-L-W-EY-Z|am AE-M|an AE-N|and AE-N-D
answer AE1-N-S-AXR|anyone EH1-N-IY-W-AH-N|appeal AX-P-IY1-L|are AA-R|as AE-Z|asked AE1-S-K-T|at AE-T|author AO1-TH-AXR
autumn AO1-T-AX-M|baby B-EY1-B-IY|back B-AE1-K|bag B-AE1-G|baked B-EY1-K-T|band B-AE1-N-D|bay B-EY1|be B-IY
beam B-IY1-M|been B-IH-N|bees B-IY1-Z|before B-IH-F-AO1-R|began B-IH-G-AE1-N|beige B-EY1-ZH|belongs B-IH-L-AO1-NG-Z
beneath B-IH-N-IY1-TH|beside B-IH-S-AY1-D|beyond B-IH-Y-AA1-N-D|big B-IH1-G|bin B-IH1-N|birdhouse B-ER1-D-HH-AW-S
birds B-ER1-D-Z|bitter B-IH1-T-AXR|blue B-L-UW1|boiling B-OY1-L-IH-NG|book B-UH1-K|both B-OW1-TH|bottom B-AA1-T-AX-M
bought B-AO1-T|boxes B-AA1-K-S-IH-Z|boys B-OY1-Z|brass B-R-AE1-S|bread B-R-EH1-D|breakfast B-R-EH1-K-F-AX-S-T
bridge B-R-IH1-JH|brother B-R-AH1-DH-AXR|bucket B-AH1-K-IH-T|built B-IH1-L-T|burned B-ER1-N-D|bus B-AH1-S
button B-AH1-T-AX-N|by B-AY|called K-AO1-L-D|camping K-AE1-M-P-IH-NG|can K-AE-N|candles K-AE1-N-D-AX-L-Z|car K-AA1-R
care K-EH1-R|carried K-AE1-R-IY-D|caught K-AO1-T|chair CH-EH1-R|chapter CH-AE1-P-T-AXR|charges CH-AA1-R-JH-IH-Z
cheap CH-IY1-P|checked CH-EH1-K-T|chef SH-EH1-F|cherry CH-EH1-R-IY|chewed CH-UW1-D|children CH-IH1-L-D-R-AX-N
choice CH-OY1-S|choir K-W-AY1-AXR|chose CH-OW1-Z|clerk K-L-ER1-K|clicks K-L-IH1-K-S|coach K-OW1-CH|coast K-OW1-S-T
cold K-OW1-L-D|colour K-AH1-L-AXR|coming K-AH1-M-IH-NG|cooks K-UH1-K-S|could K-UH-D|counted K-AW1-N-T-IH-D
cousin K-AH1-Z-AX-N|covered K-AH1-V-AXR-D|crosses K-R-AO1-S-IH-Z|crowd K-R-AW1-D|cups K-AH1-P-S|curves K-ER1-V-Z
cushion K-UH1-SH-AX-N|cyclists S-AY1-K-L-IH-S-T-S|dawn D-AO1-N|did D-IH-D|dinner D-IH1-N-AXR
discovered D-IH-S-K-AH1-V-AXR-D|dissolves D-IH-Z-AO1-L-V-Z|doctor D-AA1-K-T-AXR|does D-AH-Z|door D-AO1-R|down D-AW1-N
drawer D-R-AO1-R|drifted D-R-IH1-F-T-IH-D|dry D-R-AY1|dull D-AH1-L|during D-UH1-R-IH-NG|each IY1-CH|ear IH1-R
early ER1-L-IY|edge EH1-JH|egyptian IY-JH-IH1-P-SH-AX-N|eight EY1-T|eleven IH-L-EH1-V-AX-N
engineers EH-N-JH-IH-N-IH1-R-Z|enjoy IH-N-JH-OY1|enough IH-N-AH1-F|evening IY1-V-N-IH-NG|every EH1-V-R-IY
except IH-K-S-EH1-P-T|explain IH-K-S-P-L-EY1-N|fair F-EH1-R|fall F-AO1-L|farmer's F-AA1-R-M-AXR-Z|faster F-AE1-S-T-AXR
favour F-EY1-V-AXR|fence F-EH1-N-S|fetch F-EH1-CH|few F-Y-UW1|film F-IH1-L-M|fine F-AY1-N|fireplace F-AY1-AXR-P-L-EY-S
first F-ER1-S-T|fishing F-IH1-SH-IH-NG|five F-AY1-V|fled F-L-EH1-D|flowers F-L-AW1-AXR-Z|flying F-L-AY1-IH-NG
fog F-AA1-G|footprints F-UH1-T-P-R-IH-N-T-S|for F-AXR|found F-AW1-N-D|four F-AO1-R|fox F-AA1-K-S|fresh F-R-EH1-SH
from F-R-AX-M|garage G-AX-R-AA1-ZH|garden G-AA1-R-D-AX-N|gate G-EY1-T|gather G-AE1-DH-AXR|gave G-EY1-V
gently JH-EH1-N-T-L-IY|ginger JH-IH1-N-JH-AXR|gloves G-L-AH1-V-Z|going G-OW1-IH-NG|good G-UH1-D
grandfather G-R-AE1-N-D-F-AA-DH-AXR|grazed G-R-EY1-Z-D|green G-R-IY1-N|grey G-R-EY1|grows G-R-OW1-Z|had HH-AE-D
half HH-AE1-F|hall HH-AO1-L|hallway HH-AO1-L-W-EY|harbour HH-AA1-R-B-AXR|has HH-AE-Z|hatch HH-AE1-CH|have HH-AE-V
hay HH-EY1|he HH-IY|heard HH-ER1-D|heather HH-EH1-DH-AXR|heavy HH-EH1-V-IY|her HH-ER|here HH-IH1-R|his HH-IH-Z
hole HH-OW1-L|home HH-OW1-M|honest AA1-N-IH-S-T|honey HH-AH1-N-IY|horses HH-AO1-R-S-IH-Z|hot HH-AA1-T|hour AW1-AXR
house HH-AW1-S|huge HH-Y-UW1-JH|hung HH-AH1-NG|i AY|ice AY1-S|in IH-N|into IH1-N-T-UW|is IH-Z|it IH-T|jane JH-EY1-N
joined JH-OY1-N-D|joke JH-OW1-K|joy JH-OY1|judge JH-AH1-JH|juice JH-UW1-S|jumper JH-AH1-M-P-AXR|jury JH-UH1-R-IY
keeps K-IY1-P-S|key K-IY1|keys K-IY1-Z|kitchen K-IH1-CH-AX-N|knocking N-AA1-K-IH-NG|know N-OW1|large L-AA1-R-JH
law L-AO1|lay L-EY1|leather L-EH1-DH-AXR|leaves L-IY1-V-Z|left L-EH1-F-T|lemon L-EH1-M-AX-N|letter L-EH1-T-AXR
lever L-IY1-V-AXR|library L-AY1-B-R-EH-R-IY|lighthouse L-AY1-T-HH-AW-S|like L-AY1-K|listens L-IH1-S-AX-N-Z
loft L-AO1-F-T|lorry L-AO1-R-IY|lucy L-UW1-S-IY|lunch L-AH1-N-CH|lying L-AY1-IH-NG|make M-EY1-K|man M-AE1-N
many M-EH1-N-IY|map M-AE1-P|march M-AA1-R-CH|market M-AA1-R-K-IH-T|may M-EY1|mayor M-EY1-AXR|me M-IY
measure M-EH1-ZH-AXR|measured M-EH1-ZH-AXR-D|meeting M-IY1-T-IH-NG|men M-EH1-N|missing M-IH1-S-IH-NG
monday M-AH1-N-D-EY|months M-AH1-N-TH-S|more M-AO1-R|morning M-AO1-R-N-IH-NG|moss M-AO1-S|moved M-UW1-V-D
much M-AH1-CH|muddy M-AH1-D-IY|museum M-Y-UW-Z-IY1-AX-M|mushroom M-AH1-SH-R-UW-M|my M-AY|near N-IH1-R
necklace N-EH1-K-L-IH-S|needs N-IY1-D-Z|neighbour N-EY1-B-AXR|never N-EH1-V-AXR|new N-UW1|next N-EH1-K-S-T
nine N-AY1-N|ninety N-AY1-N-T-IY|noise N-OY1-Z|noisy N-OY1-Z-IY|noon N-UW1-N|northern N-AO1-R-DH-AXR-N|not N-AA1-T
nothing N-AH1-TH-IH-NG|now N-AW1|number N-AH1-M-B-AXR|of AX-V|old OW1-L-D|on AA-N|one W-AH1-N|ones W-AH1-N-Z
open OW1-P-AX-N|opened OW1-P-AX-N-D|opens OW1-P-AX-N-Z|orange AO1-R-IH-N-JH|others AH1-DH-AXR-Z|our AW1-AXR
outside AW-T-S-AY1-D|over OW1-V-AXR|owls AW1-L-Z|owns OW1-N-Z|oysters OY1-S-T-AXR-Z|paints P-EY1-N-T-S
parcel P-AA1-R-S-AX-L|past P-AE1-S-T|path P-AE1-TH|patience P-EY1-SH-AX-N-S|pearls P-ER1-L-Z|peel P-IY1-L
people P-IY1-P-AX-L|pictures P-IH1-K-CH-AXR-Z|pie P-AY1|pilot P-AY1-L-AX-T|place P-L-EY1-S|platform P-L-AE1-T-F-AO-R-M
play P-L-EY1|player P-L-EY1-AXR|playing P-L-EY1-IH-NG|plays P-L-EY1-Z|please P-L-IY1-Z|pleasure P-L-EH1-ZH-AXR
plums P-L-AH1-M-Z|pollen P-AA1-L-AX-N|pond P-AA1-N-D|pounds P-AW1-N-D-Z|poured P-AO1-R-D|puppy P-AH1-P-IY
purple P-ER1-P-AX-L|purse P-ER1-S|push P-UH1-SH|pushed P-UH1-SH-T|put P-UH1-T|puzzled P-AH1-Z-AX-L-D
queen's K-W-IY1-N-Z|quick K-W-IH1-K|rainfall R-EY1-N-F-AO-L|raining R-EY1-N-IH-NG|rare R-EH1-R|rather R-AE1-DH-AXR
ready R-EH1-D-IY|red R-EH1-D|returned R-IH-T-ER1-N-D|revised R-IH-V-AY1-Z-D|ridge R-IH1-JH|river R-IH1-V-AXR
road R-OW1-D|rod R-AA1-D|rolled R-OW1-L-D|root R-UW1-T|round R-AW1-N-D|rug R-AH1-G|rush R-AH1-SH|salty S-AO1-L-T-IY
sauce S-AO1-S|see S-IY1|served S-ER1-V-D|set S-EH1-T|seven S-EH1-V-AX-N|shallow SH-AE1-L-OW|sharp SH-AA1-R-P|she SH-IY
sheep SH-IY1-P|shepherd SH-EH1-P-AXR-D|shift SH-IH1-F-T|shoe SH-UW1|shop SH-AA1-P|shorter SH-AO1-R-T-AXR
should SH-UH-D|shouted SH-AW1-T-IH-D|shows SH-OW1-Z|since S-IH1-N-S|sister S-IH1-S-T-AXR|six S-IH1-K-S|sleep S-L-IY1-P
slipped S-L-IH1-P-T|slowly S-L-OW1-L-IY|small S-M-AO1-L|smooth S-M-UW1-DH|snow S-N-OW1|some S-AH1-M
somebody S-AH1-M-B-AA-D-IY|soon S-UW1-N|soups S-UW1-P-S|speaks S-P-IY1-K-S|square S-K-W-EH1-R|stairs S-T-EH1-R-Z
station S-T-EY1-SH-AX-N|stops S-T-AA1-P-S|store S-T-AO1-R|stove S-T-OW1-V|strap S-T-R-AE1-P|stream S-T-R-IY1-M
such S-AH1-CH|sugar SH-UH1-G-AXR|swept S-W-EH1-P-T|table T-EY1-B-AX-L|take T-EY1-K|takeoff T-EY1-K-AO-F
taking T-EY1-K-IH-NG|talk T-AO1-K|taste T-EY1-S-T|tea T-IY1|teacher T-IY1-CH-AXR|ten T-EH1-N|than DH-AE-N
thanked TH-AE1-NG-K-T|that DH-AE-T|the DH-AX|their DH-EH-R|there DH-EH-R|these DH-IY1-Z|they DH-EY|thick TH-IH1-K
thief TH-IY1-F|thin TH-IH1-N|this DH-IH-S|those DH-OW1-Z|thought TH-AO1-T|three TH-R-IY1|through TH-R-UW
thunder TH-AH1-N-D-AXR|thursday TH-ER1-Z-D-EY|tigers T-AY1-G-AXR-Z|time T-AY1-M|times T-AY1-M-Z|to T-AX|told T-OW1-L-D
took T-UH1-K|towards T-AO1-R-D-Z|towel T-AW1-AX-L|trade T-R-EY1-D|train T-R-EY1-N|treasure T-R-EH1-ZH-AXR
tuba T-UW1-B-AX|twelve T-W-EH1-L-V|twice T-W-AY1-S|two T-UW1|umbrella AH-M-B-R-EH1-L-AX|under AH1-N-D-AXR
until AX-N-T-IH1-L|upstairs AH-P-S-T-EH1-R-Z|us AH-S|usual Y-UW1-ZH-UW-AX-L|usually Y-UW1-ZH-UW-AX-L-IY|vague V-EY1-G
valley V-AE1-L-IY|vanished V-AE1-N-IH-SH-T|vase V-AA1-Z|vessel V-EH1-S-AX-L|village V-IH1-L-IH-JH
violin V-AY-AX-L-IH1-N|wait W-EY1-T|walk W-AO1-K|warm W-AO1-R-M|was W-AX-Z|watch W-AA1-CH|water W-AO1-T-AXR|we W-IY
weather W-EH1-DH-AXR|week W-IY1-K|were W-ER|what W-AH1-T|which W-IH-CH|while W-AY1-L|whispered W-IH1-S-P-AXR-D
white W-AY1-T|who HH-UW|whole HH-OW1-L|why W-AY1|will W-IH-L|window W-IH1-N-D-OW|wings W-IH1-NG-Z|with W-IH-DH
woke W-OW1-K|wood W-UH1-D|wooden W-UH1-D-AX-N|workers W-ER1-K-AXR-Z|worth W-ER1-TH|would W-UH-D|yacht Y-AA1-T
years Y-IH1-R-Z|yellow Y-EH1-L-OW|yoghurt Y-OW1-G-AXR-T|you Y-UW|young Y-AH1-NG|zero Z-IH1-R-OW
"""

_LETTERS = """
a EY1|b B-IY1|c S-IY1|d D-IY1|e IY1|f EH1-F|g JH-IY1|h EY1-CH|i AY1|j JH-EY1|k K-EY1|l EH1-L|m EH1-M|n EH1-N|o OW1
p P-IY1
q K-Y-UW1|r AA1-R|s EH1-S|t T-IY1|u Y-UW1|v V-IY1|w D-AH1-B-AX-L-Y-UW|x EH1-K-S|y W-AY1|z Z-EH1-D
"""

_SPELLINGS = (
    ("tion", "SH AX N"), ("sion", "ZH AX N"), ("ture", "CH AXR"), ("ough", "AO"), ("augh", "AO"), ("eigh", "EY"),
    ("igh", "AY"), ("tch", "CH"), ("dge", "JH"), ("sch", "S K"), ("air", "EH R"), ("are", "EH R"), ("ear", "IH R"),
    ("eer", "IH R"), ("our", "AW AXR"), ("oor", "AO R"), ("ore", "AO R"), ("ire", "AY AXR"), ("ing", "IH NG"),
    ("ous", "AX S"), ("qu", "K W"), ("ch", "CH"), ("sh", "SH"), ("th", "TH"), ("ph", "F"), ("wh", "W"), ("ck", "K"),
    ("ng", "NG"), ("kn", "N"), ("wr", "R"), ("gh", "G"), ("ee", "IY"), ("ea", "IY"), ("ie", "IY"), ("ei", "IY"),
    ("oo", "UW"), ("ou", "AW"), ("ow", "OW"), ("oa", "OW"), ("oi", "OY"), ("oy", "OY"), ("ai", "EY"), ("ay", "EY"),
    ("ey", "IY"), ("au", "AO"), ("aw", "AO"), ("ew", "Y UW"), ("ue", "UW"), ("ui", "UW"), ("ar", "AA R"),
    ("er", "AXR"), ("ir", "ER"), ("ur", "ER"), ("or", "AO R"), ("bb", "B"), ("cc", "K"), ("dd", "D"), ("ff", "F"),
    ("gg", "G"), ("ll", "L"), ("mm", "M"), ("nn", "N"), ("pp", "P"), ("rr", "R"), ("ss", "S"), ("tt", "T"),
    ("zz", "Z"), ("ce", "S"), ("ci", "S IH"), ("cy", "S IY"), ("ge", "JH"), ("gi", "JH IH"), ("gy", "JH IY"),
    ("a", "AE"), ("b", "B"), ("c", "K"), ("d", "D"), ("e", "EH"), ("f", "F"), ("g", "G"), ("h", "HH"), ("i", "IH"),
    ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"), ("n", "N"), ("o", "AA"), ("p", "P"), ("q", "K"), ("r", "R"),
    ("s", "S"), ("t", "T"), ("u", "AH"), ("v", "V"), ("w", "W"), ("x", "K S"), ("y", "IY"), ("z", "Z"),
)  # fmt: skip
"""Spelling -> phones, longest first; what English spells with each most often."""
_LONG_VOWELS = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW", "y": "AY"}
_DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@functools.cache
def _entries(text: str) -> dict[str, str]:
    return dict(entry.split(" ") for entry in text.replace("\n", "|").split("|") if entry)


def pronounce(word: str, is_letter_name: bool = False) -> list[tuple[str, int]]:
    """Phones of a word with their stress.

    Args:
        word: in lower case; digits are read one by one.
        is_letter_name: the word is a letter and its name is meant.

    Returns:
        (ARPAbet, stress) of each phone; stress is 1 or 0.
    """
    if word.isdigit():
        return [phone for digit in word for phone in pronounce(_DIGIT_NAMES[int(digit)])]
    known = _entries(_LETTERS) if is_letter_name else _entries(_LEXICON)
    if word in known:
        return [(phone.rstrip("1"), int(phone.endswith("1"))) for phone in known[word].split("-")]
    phones = _by_rule("".join(c for c in word if "a" <= c <= "z"))
    stressed = next((i for i, phone in enumerate(phones) if phone in VOWELS), -1)
    return [(phone, int(i == stressed)) for i, phone in enumerate(phones)]


def is_known(word: str) -> bool:
    """The word is in the lexicon, not left to the rules."""
    return word in _entries(_LEXICON)


def _by_rule(word: str) -> list[str]:
    """Spelling rules: silent final e lengthens the vowel, else the longest spelling that fits."""
    phones: list[str] = []
    at = 0
    while at < len(word):
        rest = word[at:]
        is_lengthened = len(rest) == 3 and rest[0] in _LONG_VOWELS and rest[1] not in _LONG_VOWELS and rest[2] == "e"
        if is_lengthened:
            phones.append(_LONG_VOWELS[rest[0]])
            at += 1
            continue
        if rest == "e" and any(phone in VOWELS for phone in phones):
            break
        spelling, sound = next((s, p) for s, p in _SPELLINGS if rest.startswith(s))
        phones.extend(sound.split())
        at += len(spelling)
    return phones
