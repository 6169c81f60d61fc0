"""Drawing over faces: attention maps, points, and tiles with captions in a titled grid. OpenCV alone, RGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

RGB = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

INK: Colour = (35, 38, 46)
PAPER: Colour = (250, 250, 248)
FAINT: Colour = (130, 134, 142)
RIGHT: Colour = (24, 128, 72)
WRONG: Colour = (200, 48, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def heat_over_face(face: RGB, heat: npt.NDArray[Any], tile_px: int) -> RGB:
    """A face in grey under a map of 0..1; the colour scale is fixed, so that maps can be compared.

    Args:
        face: (H, W, 3).
        heat: (M, M) in 0..1, of the same square.
        tile_px: side of the result.

    Returns:
        (tile_px, tile_px, 3).
    """
    grey = cv2.cvtColor(cv2.resize(face, (tile_px, tile_px), interpolation=cv2.INTER_CUBIC), cv2.COLOR_RGB2GRAY)
    scaled = cv2.resize(np.asarray(heat, np.float32), (tile_px, tile_px), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colour = cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    share = (0.25 + 0.5 * scaled)[..., None]
    blended: RGB = np.round((1 - share) * grey[..., None] + share * colour).astype(np.uint8)
    return blended


def points_over_face(face: RGB, points: Sequence[tuple[npt.NDArray[Any], Colour]], tile_px: int) -> RGB:
    """A face with sets of points, each in its colour.

    Args:
        face: (H, H, 3).
        points: (K, 2) px of the face, and a colour; points with NaN are skipped.
        tile_px: side of the result.

    Returns:
        (tile_px, tile_px, 3).
    """
    tile: RGB = cv2.resize(face, (tile_px, tile_px), interpolation=cv2.INTER_CUBIC)
    scale = tile_px / face.shape[0]
    for xy, colour in points:
        fine = ((np.asarray(xy, np.float64) + 0.5) * scale - 0.5) * 16
        for x, y in np.round(fine[np.isfinite(fine).all(-1)]).astype(int):
            cv2.circle(tile, (int(x), int(y)), max(16, tile_px // 7), colour, -1, cv2.LINE_AA, shift=4)
    return tile


def write_text(image: RGB, text: str, x: int, y: int, colour: Colour = INK, size: float = 0.4) -> None:
    """Write into ``image`` with the text's left end of the baseline at (x, y) px."""
    cv2.putText(image, text, (x, y), _FONT, size, colour, 1, cv2.LINE_AA)


def grid(tiles: Sequence[Sequence[RGB]], captions: Sequence[Sequence[tuple[str, Colour]]], title: str) -> RGB:
    """Rows of equal tiles, a caption above each, under a title.

    Args:
        tiles: rows of (h, w, 3) tiles; every row of the same number.
        captions: for each tile its text and colour; an empty text takes room all the same.
        title: one line over the sheet.
    """
    gap, caption_px, title_px = 6, 16, 34
    height, width = tiles[0][0].shape[:2]
    n_columns = max(map(len, tiles))
    size = (title_px + len(tiles) * (height + caption_px + gap) + gap, n_columns * (width + gap) + gap, 3)
    sheet: RGB = np.full(size, PAPER, np.uint8)
    write_text(sheet, title, gap + 2, 22, INK, 0.5)
    for r, (row, texts) in enumerate(zip(tiles, captions, strict=True)):
        top = title_px + r * (height + caption_px + gap)
        for c, (tile, (text, colour)) in enumerate(zip(row, texts, strict=True)):
            left = gap + c * (width + gap)
            write_text(sheet, text, left, top + 12, colour)
            sheet[top + caption_px : top + caption_px + height, left : left + width] = tile
    return sheet
