"""Sheets of emotional speech: spectrograms with their pitch and histograms, and a confusion matrix. OpenCV alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vultus.face.overlay import FAINT, INK, PAPER, RGB, RIGHT, WRONG, Colour, write_text

Array = npt.NDArray[Any]

_HEIGHT_PX = 120
_SECOND_PX = 170
"""Width of a second of sound."""
_BAR_PX = 7
_BLOCK_GAP_PX = 16
_MARGIN_PX, _TITLE_PX, _CAPTION_PX = 10, 36, 18
_PITCH_RANGE_HZ = (50.0, 450.0)
_BAR: Colour = (11, 110, 117)
_GROUND: Colour = (232, 234, 236)


@dataclass(frozen=True)
class ShownUtterance:
    """One row of `utterance_sheet`."""

    title: str
    is_right: bool
    """The title is green, else red."""
    log_mel: Array
    """(T, M) natural logarithm."""
    f0_hz: Array
    """(T,), 0 where unvoiced."""
    histograms: Mapping[str, Array]
    """Name -> shares in 0..1; one name has one scale on the whole sheet."""


def utterance_sheet(path: Path, shown: Sequence[ShownUtterance], title: str) -> None:
    """Write one row an utterance: the spectrogram with its pitch, then its histograms.

    Args:
        path: of the png file.
        shown: rows; the widest sets the width.
        title: one line over the sheet.
    """
    full = {name: max(float(item.histograms[name].max()) for item in shown) for name in shown[0].histograms}
    strips = [
        (_spectrogram(item.log_mel, item.f0_hz), [_bars(item.histograms[name], full[name] or 1.0) for name in full])
        for item in shown
    ]
    sound_px = max(strip.shape[1] for strip, _ in strips)
    bars_px = max(sum(bars.shape[1] + _BLOCK_GAP_PX for bars in row) for _, row in strips)
    row_px = _CAPTION_PX + _HEIGHT_PX + 8
    sheet = _paper(_TITLE_PX + len(shown) * row_px, 2 * _MARGIN_PX + sound_px + bars_px, title)
    for i, (item, (strip, row)) in enumerate(zip(shown, strips, strict=True)):
        top = _TITLE_PX + i * row_px
        write_text(sheet, item.title, _MARGIN_PX, top + 12, RIGHT if item.is_right else WRONG)
        _paste(sheet, strip, _MARGIN_PX, top + _CAPTION_PX)
        left = _MARGIN_PX + sound_px + _BLOCK_GAP_PX
        for name, bars in zip(full, row, strict=True):
            write_text(sheet, name, left, top + 12, FAINT)
            _paste(sheet, bars, left, top + _CAPTION_PX)
            left += bars.shape[1] + _BLOCK_GAP_PX
    cv2.imwrite(str(path), sheet[..., ::-1])


def confusion_sheet(path: Path, counts: Array, classes: Sequence[str], title: str) -> None:
    """Write a confusion matrix with the percent of each row, and in brackets the counts.

    Args:
        path: of the png file.
        counts: (C, C), rows are the truth.
        classes: C names.
        title: one line over the sheet.
    """
    cell, label = 72, 96
    side = len(classes) * cell
    sheet = _paper(_TITLE_PX + _CAPTION_PX + side + _MARGIN_PX, label + side + _MARGIN_PX, title)
    for i, name in enumerate(classes):
        top, given = _TITLE_PX + _CAPTION_PX + i * cell, float(counts[i].sum())
        write_text(sheet, name, label + i * cell + 4, _TITLE_PX + 12, INK, 0.36)
        write_text(sheet, name, _MARGIN_PX, top + cell // 2 + 4, INK)
        for j in range(len(classes)):
            share, left = (counts[i, j] / given if given else 0.0), label + j * cell
            shade = tuple(round(p + share * (b - p)) for p, b in zip(PAPER, _BAR, strict=True))
            cv2.rectangle(sheet, (left, top), (left + cell - 3, top + cell - 3), shade, -1)
            ink = PAPER if share > 0.5 else (INK if counts[i, j] else FAINT)
            write_text(sheet, f"{100 * share:.0f} %", left + 12, top + 32, ink, 0.5)
            write_text(sheet, f"({counts[i, j]:.0f})", left + 12, top + 52, ink, 0.36)
    cv2.imwrite(str(path), sheet[..., ::-1])


def _spectrogram(log_mel: Array, f0_hz: Array) -> RGB:
    """Log-mel in grey to yellow over time, low bands below, with the pitch as white dots on a logarithmic scale."""
    loudest = float(log_mel.max())
    scaled = ((log_mel - loudest + 8.0) / 8.0).clip(0, 1).T[::-1]
    width = max(1, round(len(log_mel) * _SECOND_PX / 100))
    resized = cv2.resize((scaled * 255).astype(np.uint8), (width, _HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    picture: RGB = np.ascontiguousarray(cv2.applyColorMap(resized, cv2.COLORMAP_INFERNO)[..., ::-1])
    low, high = np.log(_PITCH_RANGE_HZ)
    for frame in np.flatnonzero(f0_hz > 0):
        x = round((frame + 0.5) * _SECOND_PX / 100)
        y = round((_HEIGHT_PX - 1) * (1.0 - (np.log(f0_hz[frame]) - low) / (high - low)))
        cv2.circle(picture, (x, y), 1, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


def _bars(shares: Array, full: float) -> RGB:
    """A histogram; the height is the share ``full``, the open-ended bins at both ends are grey."""
    picture: RGB = np.full((_HEIGHT_PX, len(shares) * _BAR_PX, 3), _GROUND, np.uint8)
    for i, share in enumerate(shares / full):
        top = round((1.0 - float(share)) * (_HEIGHT_PX - 1))
        colour = FAINT if i in (0, len(shares) - 1) else _BAR
        cv2.rectangle(picture, (i * _BAR_PX, top), ((i + 1) * _BAR_PX - 2, _HEIGHT_PX - 1), colour, -1)
    return picture


def _paper(height: int, width: int, title: str) -> RGB:
    title_px = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0]
    sheet: RGB = np.full((height, max(width, title_px + 2 * _MARGIN_PX), 3), PAPER, np.uint8)
    write_text(sheet, title, _MARGIN_PX, 22, INK, 0.5)
    return sheet


def _paste(sheet: RGB, tile: RGB, left: int, top: int) -> None:
    sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
