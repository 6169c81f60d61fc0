"""The phone inventory of the embedded world: ARPAbet, its classes, and eSpeak NG's mnemonics in it.

ARPAbet here is the 39-phone American set plus ``AX`` (schwa), ``AXR`` (rhotic schwa), ``DX`` (flap) and ``SIL``.
"""

from __future__ import annotations

SILENCE = "SIL"
MONOPHTHONGS = frozenset({"IY", "IH", "EH", "AE", "AA", "AO", "UH", "UW", "AH", "AX", "ER", "AXR"})
DIPHTHONGS = frozenset({"EY", "AY", "AW", "OY", "OW"})
VOWELS = MONOPHTHONGS | DIPHTHONGS
STOPS = frozenset({"P", "B", "T", "D", "K", "G", "CH", "JH"})
"""Phones with a complete closure and a release; the affricates are among them."""
NASALS = frozenset({"M", "N", "NG"})
FRICATIVES = frozenset({"F", "V", "TH", "DH", "S", "Z", "SH", "ZH", "HH"})
APPROXIMANTS = frozenset({"L", "R", "W", "Y", "DX"})
VOICELESS = frozenset({"P", "T", "K", "CH", "F", "TH", "S", "SH", "HH"})
PHONES = VOWELS | STOPS | NASALS | FRICATIVES | APPROXIMANTS

_ONE_PHONE = {
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "g": "G", "tS": "CH", "dZ": "JH", "f": "F", "v": "V", "T": "TH",
    "D": "DH", "s": "S", "z": "Z", "S": "SH", "Z": "ZH", "h": "HH", "H": "HH", "m": "M", "n": "N", "N": "NG", "n-": "N",
    "m-": "M", "l": "L", "l#": "L", "L": "L", "r": "R", "r-": "R", "R": "R", "w": "W", "w#": "W", "j": "Y", "t#": "DX",
    "t2": "T", "x": "K", "C": "SH", "Q": "K",
    "i:": "IY", "i": "IY", "I": "IH", "I#": "IH", "I2": "IH", "E": "EH", "E#": "EH", "E2": "EH", "a": "AE", "aa": "AE",
    "0": "AA", "A:": "AA", "A": "AA", "0#": "AA", "O2": "AA", "O:": "AO", "O": "AO", "U": "UH", "u:": "UW", "u": "UW",
    "V": "AH", "@": "AX", "@2": "AX", "@5": "AX", "@-": "AX", "a#": "AX", "a2": "AE", "3:": "ER",
    "eI": "EY", "e": "EY", "e:": "EY", "aI": "AY", "aI2": "AY", "aU": "AW", "OI": "OY", "oU": "OW", "oU#": "OW",
    "o": "OW", "o:": "OW", "VR": "ER", "3": "AXR",
}  # fmt: skip
_TWO_PHONES = {
    "A@": ("AA", "R"), "A@r": ("AA", "R"), "O@": ("AO", "R"), "o@": ("AO", "R"), "O@r": ("AO", "R"),
    "e@": ("EH", "R"), "i@": ("IH", "AX"), "i@3": ("IH", "R"), "U@": ("UH", "R"), "aI@": ("AY", "AXR"),
    "aI3": ("AY", "AXR"), "aU@": ("AW", "AXR"), "I@": ("IH", "AX"), "@L": ("AX", "L"),
    "IR": ("IH", "R"), "ER": ("EH", "R"),
}  # fmt: skip
_SOUNDS: dict[str, tuple[str, ...]] = {**{sound: (phone,) for sound, phone in _ONE_PHONE.items()}, **_TWO_PHONES}
DROPPED = frozenset({";", "?", "(en)", "(de)", "(base)", "(en-us)", ":", "|", "||", "'", ","})
"""Mnemonics without a sound of their own: palatal glue, language switches, a glottal onset."""
PAUSES = frozenset({"_", "_:", "_!", "_::", "_^_", "__"})


def arpabet(mnemonic: str, rhotic: bool) -> tuple[tuple[str, ...], int]:
    """An eSpeak NG phoneme mnemonic in ARPAbet.

    Args:
        mnemonic: with its stress mark, e.g. ``'eI``.
        rhotic: the voice speaks the R of *car*.

    Returns:
        the phones (none for a mark without sound, two for *car*'s vowel) and the stress: 1 primary, 2 secondary,
        0 none.

    Raises:
        ValueError: the mnemonic is not in the English inventory.
    """
    stress = {"'": 1, ",": 2}.get(mnemonic[:1], 0)
    sound = mnemonic.lstrip("',%=")
    if not sound or sound in DROPPED:
        return (), 0
    if sound in PAUSES:
        return (SILENCE,), 0
    if sound not in _SOUNDS:
        raise ValueError(f"eSpeak NG phoneme {mnemonic!r} has no ARPAbet class")
    phones = _SOUNDS[sound]
    if not rhotic:
        phones = tuple("AX" if phone == "AXR" else phone for phone in phones if phone != "R" or len(phones) == 1)
    return phones, stress
