"""What talking heads are looked at with: films of generated and true faces with sound, and mouths over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vultus.face.overlay import FAINT, INK, PAPER, RGB, write_text

FPS = 25.0
"""Of the films: the frame rate of all talking heads."""
_FACE_PX = 256
_MOUTH_PX = 56
_MOUTHS = 24
"""Moments of a strip."""
_SPECTRUM_PX = 72
_MARGIN_PX = 78


@dataclass(frozen=True)
class Person:
    """A clip of a test person, as it was and as it was generated."""

    name: str
    truth: RGB
    """(T, l, l, 3)."""
    generated: RGB
    """(T, l, l, 3)."""
    mouth: tuple[slice, ...]
    """Rows and columns of the mouth's box; empty: the whole face."""
    audio: Path | None
    """File with the sound that the clip was generated from."""


def draw_people(people: Sequence[Person], system: str, where: str, folder: Path) -> dict[str, str]:
    """A film for each person and one sheet of mouths; returns ``{file name: caption}``.

    A clip without a sound file has a silent film and no spectrum.

    Args:
        people: whom to show.
        system: key, for titles.
        where: who the people are, for titles and captions.
        folder: exists.
    """
    from vultus.data.clips import write_clip
    from vultus.data.media import read_audio

    captions, strips = {}, []
    for person in people:
        sound = read_audio(person.audio) if person.audio is not None and person.audio.exists() else None
        name = f"{person.name}.mp4"
        frames = np.stack([side_by_side(a, b) for a, b in zip(person.truth, person.generated, strict=True)])
        write_clip(folder / name, frames, FPS, sound)
        captions[name] = f"{person.name}, unseen: left the true clip, right the one generated from its sound. {where}."
        strips.append(mouth_strip(person, sound))
    sheet = np.concatenate([_title(f"{system}: mouths, {where}", strips[0].shape[1]), *strips])
    cv2.imwrite(str(folder / "mouths.png"), sheet[..., ::-1])
    captions["mouths.png"] = (
        "Mouths of unseen people over time: below the spectrum of the speech the true mouths, below them the generated"
        f" ones. {where}."
    )
    return captions


def side_by_side(truth: RGB, generated: RGB) -> RGB:
    """Two faces (l, l, 3), enlarged, on one frame of the film."""
    faces = [cv2.resize(face, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_CUBIC) for face in (truth, generated)]
    frame: RGB = np.full((_FACE_PX + 24, 2 * _FACE_PX + 4, 3), PAPER, np.uint8)
    frame[24:, :_FACE_PX], frame[24:, _FACE_PX + 4 :] = faces
    write_text(frame, "true", 4, 16)
    write_text(frame, "generated", _FACE_PX + 8, 16)
    return frame


def mouth_strip(person: Person, sound: npt.NDArray[np.floating] | None) -> RGB:
    """Spectrum, true mouths and generated mouths at evenly spaced moments of a clip."""
    moments = np.linspace(0, len(person.truth) - 1, _MOUTHS).round().astype(int)
    width = _MARGIN_PX + _MOUTHS * _MOUTH_PX
    rows: list[RGB] = []
    if sound is not None:
        rows.append(_labelled(_spectrum(sound, width - _MARGIN_PX), "sound"))
    for label, frames in (("true", person.truth), ("generated", person.generated)):
        mouths = [
            cv2.resize(frames[moment][person.mouth], (_MOUTH_PX, _MOUTH_PX), interpolation=cv2.INTER_CUBIC)
            for moment in moments
        ]
        rows.append(_labelled(np.concatenate(mouths, axis=1), label))
    heading: RGB = np.full((20, width, 3), PAPER, np.uint8)
    write_text(heading, person.name, 4, 14, FAINT)
    return np.concatenate([heading, *rows])


def _spectrum(sound: npt.NDArray[np.floating], width: int) -> RGB:
    from vultus.audio.spectra import log_mel

    level = log_mel(sound).T[::-1]
    top = float(level.max())
    shade = ((level - top + 8) / 8).clip(0, 1)  # eight nepers below the loudest are white
    grey = (255 * (1 - shade)).astype(np.uint8)
    return _rgb(cv2.cvtColor(cv2.resize(grey, (width, _SPECTRUM_PX), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB))


def _labelled(picture: RGB, label: str) -> RGB:
    row: RGB = np.full((len(picture) + 2, _MARGIN_PX + picture.shape[1], 3), PAPER, np.uint8)
    row[:-2, _MARGIN_PX:] = picture
    write_text(row, label, 4, len(picture) // 2 + 4)
    return row


def _title(text: str, width: int) -> RGB:
    row: RGB = np.full((32, width, 3), PAPER, np.uint8)
    write_text(row, text, 4, 21, INK, 0.5)
    return row


def _rgb(picture: Any) -> RGB:
    return np.asarray(picture, np.uint8)
