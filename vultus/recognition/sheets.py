"""Pictures of recognised sentences and of alignments. OpenCV alone, RGB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import jiwer
import numpy as np
import numpy.typing as npt

from vultus.face.overlay import FAINT, INK, PAPER, RGB, RIGHT, WRONG, Colour, write_text
from vultus.recognition.lexicon import SILENCE, Unit

Array = npt.NDArray[Any]

_WIDTH_PX = 960
_BIN_MS, _REACH_MS = 10, 150
_EVERY, _SCALE = 6, 2


def sentence_sheet(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], title: str) -> RGB:
    """For each sentence what was said above what was recognised, word under word, errors in red."""
    row_px, top = 52, 44
    sheet: RGB = np.full((top + row_px * len(pairs) + 8, _WIDTH_PX, 3), PAPER, np.uint8)
    write_text(sheet, title, 8, 24, INK, 0.5)
    for number, (said, found) in enumerate(pairs):
        y, x = top + row_px * number + 14, 10
        for above, below in _columns(said, found):
            colour = INK if above == below else WRONG
            write_text(sheet, above, x, y, INK if above == below else FAINT, 0.45)
            write_text(sheet, below, x, y + 18, colour, 0.45)
            if not below:
                cv2.line(sheet, (x, y - 4), (x + _text_px(above), y - 4), WRONG, 1, cv2.LINE_AA)
            x += max(_text_px(above), _text_px(below)) + 12
        cv2.line(sheet, (8, y + 28), (_WIDTH_PX - 8, y + 28), (225, 225, 222), 1)
    return sheet


def _columns(said: Sequence[str], found: Sequence[str]) -> list[tuple[str, str]]:
    """Words aligned for the fewest errors; an inserted word stands under nothing, a deleted one over nothing."""
    if not found:
        return [(word, "") for word in said]
    columns: list[tuple[str, str]] = []
    for chunk in jiwer.process_words(" ".join(said), " ".join(found)).alignments[0]:
        above, below = said[chunk.ref_start_idx : chunk.ref_end_idx], found[chunk.hyp_start_idx : chunk.hyp_end_idx]
        length = max(len(above), len(below))
        columns += zip([*above, *[""] * (length - len(above))], [*below, *[""] * (length - len(below))], strict=True)
    return columns


def _text_px(text: str) -> int:
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0])


def error_histogram(errors_ms: Array, title: str) -> RGB:
    """How many beginnings lie how far from their exact times, ms; the outermost bars hold all beyond."""
    height, left, base = 300, 60, 250
    sheet: RGB = np.full((height, _WIDTH_PX, 3), PAPER, np.uint8)
    write_text(sheet, title, 8, 24, INK, 0.5)
    edges = np.arange(-_REACH_MS, _REACH_MS + _BIN_MS, _BIN_MS)
    counts, _ = np.histogram(np.clip(errors_ms, -_REACH_MS, _REACH_MS - 1e-6), edges)
    bar_px = (_WIDTH_PX - 2 * left) // len(counts)
    for i, count in enumerate(counts.tolist()):
        x, top = left + i * bar_px, base - round(180 * count / max(1, counts.max()))
        cv2.rectangle(
            sheet, (x, top), (x + bar_px - 2, base), RIGHT if abs(edges[i] + _BIN_MS / 2) <= 50 else FAINT, -1
        )
    for ms in range(-_REACH_MS, _REACH_MS + 1, 50):
        x = left + (ms + _REACH_MS) // _BIN_MS * bar_px
        cv2.line(sheet, (x, base), (x, base + 4), INK, 1)
        write_text(sheet, f"{ms:+d}" if ms else "0", x - 14, base + 20, INK)
    size = np.abs(errors_ms)
    summary = (
        f"n = {len(size)}, median {np.median(size):.0f} ms, {100 * (size <= 50).mean():.0f} % within 50 ms (green)"
    )
    write_text(sheet, summary, left, 48, INK, 0.45)
    write_text(sheet, "aligned minus exact beginning, ms", left, base + 42, FAINT)
    return sheet


def strip_sheet(
    streams: Mapping[str, Array], times_s: Array, aligned: Sequence[Unit], exact: Sequence[Unit], title: str
) -> RGB:
    """Every sixth frame of each stream side by side, under the phones of an alignment, over the exact ones.

    Args:
        streams: name -> (T, H, W) uint8.
        times_s: (T,) centres of the frames.
        aligned: phones with their times.
        exact: the same from the data set; may be empty.
        title: of the sheet.
    """
    chosen = np.arange(0, len(times_s), _EVERY)
    tiles = {name: np.concatenate([np.kron(p, np.ones((_SCALE, _SCALE), np.uint8)) for p in stack[chosen]], axis=1)
             for name, stack in streams.items()}  # fmt: skip
    width = max(tile.shape[1] for tile in tiles.values())
    pieces = [_heading(title, width), _bar(aligned, times_s, width, INK)]
    for tile in tiles.values():
        stretched = cv2.resize(tile, (width, tile.shape[0]), interpolation=cv2.INTER_AREA)
        pieces.append(cv2.cvtColor(stretched, cv2.COLOR_GRAY2RGB))
    pieces.append(_bar(exact, times_s, width, FAINT))
    sheet: RGB = np.concatenate(pieces)
    return sheet


def _heading(title: str, width: int) -> RGB:
    piece: RGB = np.full((34, width, 3), PAPER, np.uint8)
    write_text(piece, title, 8, 22, INK, 0.5)
    return piece


def _bar(units: Sequence[Unit], times_s: Array, width: int, colour: Colour) -> RGB:
    piece: RGB = np.full((24, width, 3), PAPER, np.uint8)
    half = (times_s[1] - times_s[0]) / 2 if len(times_s) > 1 else 0.0
    begin, end = times_s[0] - half, times_s[-1] + half
    for label, start, stop in units:
        x0, x1 = (round((t - begin) / (end - begin) * width) for t in (start, stop))
        cv2.line(piece, (x0, 0), (x0, 24), (205, 205, 200), 1)
        if label != SILENCE:
            write_text(piece, label, x0 + max(1, (x1 - x0 - 8 * len(label)) // 2), 16, colour, 0.38)
    return piece
