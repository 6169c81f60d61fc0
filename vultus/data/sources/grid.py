"""The GRID corpus in its original layout: talkers who say sentences of six words, a clip of three seconds each.

    video/s1/bbaf2n.mpg              360 x 288 at 25 frames a second, 75 frames, with sound
    alignments/s1/bbaf2n.align       "start end word", 25000 units a second; sil and sp are silence
    audio_25k/s1/bbaf2n.wav          end-pointed: shorter than the clip, and therefore not used

The six letters of a file's name are its sentence: ``bbaf2n`` is "bin blue at f two now". So a clip without an alignment
still has its words, and an alignment whose words are others belongs to another file. Folders may also be unpacked as
``s1/video/mpg_6000/bbaf2n.mpg``: the talker is the folder named ``s`` and a number.

A clip is left out when it cannot be decoded or has fewer than 74 frames (a few dozen end early, some lack the last
one). Cooke, Barker, Cunningham and Shao, "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 2006.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vultus.data.media import MediaError, probe
from vultus.data.sources.rows import ClipRows, quarantined, relative

UNITS_PER_S = 25_000
"""Of the times in an alignment: a video frame is 1000."""
SILENCE = ("sil", "sp")

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SLOTS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    {"z": "zero"} | {str(value): word for value, word in enumerate(_DIGITS) if value},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
"""Command, colour, preposition, letter (there is no w), digit, adverb: letter of the file's name -> word."""

_TALKER = re.compile(r"^s\d{1,2}$")
_RENAME = "give the file its original name, or remove it"


@dataclass(frozen=True)
class Options:
    """Options of the source ``grid``."""

    min_frames: int = 74
    """Shorter clips are left out."""
    talkers: tuple[str, ...] = ()
    """Which talkers are taken (``s1``); empty: all."""


def sentence(code: str) -> str:
    """The six words of a file name: ``swwp2s`` is "set white with p two soon".

    Raises:
        ValueError: not six characters, or one that stands for no word in its place.
    """
    if len(code) != len(SLOTS):
        raise ValueError(f"{code!r} is not six characters")
    for place, (letter, words) in enumerate(zip(code.lower(), SLOTS, strict=True), start=1):
        if letter not in words:
            raise ValueError(f"{letter!r} at place {place} of {code!r} stands for no word")
    return " ".join(words[letter] for letter, words in zip(code.lower(), SLOTS, strict=True))


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield every video below a talker's folder; alignments without a video go into quarantine."""
    videos, alignments = (_by_talker(root, suffix, options) for suffix in (".mpg", ".align"))
    for key in sorted(videos.keys() | alignments.keys(), key=lambda key: (int(key[0][1:]), key[1])):
        yield _read_clip(root, key[0], key[1], videos.get(key), alignments.get(key), options)


def _by_talker(root: Path, suffix: str, options: Options) -> dict[tuple[str, str], Path]:
    """(talker, file stem) -> file."""
    files = {}
    for path in sorted(root.rglob(f"*{suffix}")):
        talker = next((part for part in reversed(path.relative_to(root).parts[:-1]) if _TALKER.match(part)), None)
        if talker is not None and (not options.talkers or talker in options.talkers):
            files[talker, path.stem] = path
    return files


def _read_clip(
    root: Path, talker: str, code: str, video: Path | None, alignment: Path | None, options: Options
) -> ClipRows:
    rows, clip_id = ClipRows(), f"{talker}_{code}"

    def without(path: Path, reason: str) -> ClipRows:
        rows.quarantine.append(quarantined("clips", relative(path, root), reason, clip_id=clip_id))
        return rows

    if video is None:
        assert alignment is not None
        return without(alignment, "has word times but there is no video of that name: restore it")
    try:
        words = sentence(code)
        info = probe(video)
    except MediaError as error:
        return without(video, f"{error.reason}: {error.cure}")
    except ValueError as error:
        return without(video, f"{error}: {_RENAME}")
    if (info.n_frames or 0) < options.min_frames:
        return without(video, f"has {info.n_frames} frames of 75: copy it again, or leave it out")
    rows.clip = {
        "clip_id": clip_id,
        "subject": talker,
        "kind": "speech",
        "video": relative(video, root),
        "audio": relative(video, root) if info.sample_rate else None,
        "view": "front",
        "fps": info.fps,
        "n_frames": info.n_frames,
        "width_px": info.width,
        "height_px": info.height,
        "sample_rate_hz": info.sample_rate,
        "duration_s": info.duration,
        "transcript": words,
        "licence": "GRID: free for research use",
    }
    if alignment is not None:
        _add_words(root, clip_id, alignment, words, rows)
    return rows


def _add_words(root: Path, clip_id: str, path: Path, words: str, rows: ClipRows) -> None:
    """Word times; one bad line, or another sentence than the name's, leaves them all out."""
    units = []
    for line, text in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\S+)\s*", text)
        if match is None or int(match[2]) < int(match[1]):
            if text.strip():
                reason = f"line is {text.strip()[:40]!r}, not 'start end word', so its times are left out: correct it"
                rows.quarantine.append(quarantined("units", relative(path, root), reason, row=line, clip_id=clip_id))
                return
            continue
        if match[3].lower() not in SILENCE:
            units.append({
                "clip_id": clip_id, "tier": "word", "start_s": int(match[1]) / UNITS_PER_S,
                "end_s": int(match[2]) / UNITS_PER_S, "label": match[3].lower(),
                "source_file": relative(path, root), "source_row": line,
            })  # fmt: skip
    said = " ".join(str(unit["label"]) for unit in units)
    if said != words:
        reason = f"says {said!r}, but the file's name {words!r}, so its times are left out: restore the right file"
        rows.quarantine.append(quarantined("units", relative(path, root), reason, clip_id=clip_id))
        return
    rows.units = units
