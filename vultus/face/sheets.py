"""A picture sheet of aligned faces with their landmarks, for any data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vultus.data.stores import Store
from vultus.face.landmarks import POLYLINES_68

RGB = npt.NDArray[np.uint8]

COLOURS = {"annotated": (90, 220, 120), "mediapipe": (90, 180, 255), "trained": (255, 180, 60)}
"""Colour of the landmarks by the method that gave them."""

_OTHER = (230, 230, 230)
_FONT = (0, 0.34)  # cv2.FONT_HERSHEY_SIMPLEX and its scale


def draw_landmarks(image: RGB, landmarks_68: npt.NDArray[np.floating], colour: tuple[int, int, int]) -> RGB:
    """A copy of the picture with the strokes and points of a face; absent points are skipped.

    Args:
        image: (H, W, 3) RGB.
        landmarks_68: (68, 2) px.
        colour: RGB.
    """
    import cv2

    drawn = image.copy()
    fine = np.asarray(landmarks_68, np.float64) * 16
    for stroke in POLYLINES_68:
        line = fine[list(stroke)]
        line = np.round(line[np.isfinite(line).all(-1)]).astype(np.int32)
        cv2.polylines(drawn, [line], False, colour, 1, cv2.LINE_AA, shift=4)
    radius = max(1, image.shape[0] // 100)
    for x, y in np.round(fine[np.isfinite(fine).all(-1)]).astype(int):
        cv2.circle(drawn, (int(x), int(y)), radius * 16, colour, -1, cv2.LINE_AA, shift=4)
    return drawn


def spread_over_subjects(store: Store, count: int) -> list[int]:
    """Rows of a crop store that show as many people as possible, each at even times."""
    subject = store.rows["subject"].fillna("")
    people = [np.flatnonzero(subject == name) for name in sorted(subject.unique())]
    people = [people[k] for k in _even(len(people), count)]
    share = -(-count // len(people))
    return [int(rows[k]) for rows in people for k in _even(len(rows), share)][:count]


def _even(length: int, count: int) -> list[int]:
    """Up to ``count`` distinct indices below ``length``, evenly spaced."""
    count = min(count, length)
    return [int((k + 0.5) * length / count) for k in range(count)]


def crop_sheet(store: Store, columns: int = 8, rows: int = 4, tile_px: int = 160) -> RGB:
    """Aligned faces of a crop store: one row plain, the next the same faces with their landmarks.

    Args:
        store: a crop store with at least one row.
        columns: faces in a row.
        rows: rows of faces, plain and drawn together; even.
        tile_px: side of a face on the sheet.

    Returns:
        (H, W, 3) RGB on a dark ground, with the clip's name and the landmarks' method below each face.
    """
    import cv2

    picked = spread_over_subjects(store, columns * rows // 2)
    gap, caption = 6, 16
    lines = -(-len(picked) // columns)
    cell = (2 * tile_px + caption + gap, tile_px + gap)
    sheet = np.full((lines * cell[0] + gap, min(columns, len(picked)) * cell[1] + gap, 3), 24, np.uint8)
    for k, row in enumerate(picked):
        about = store.rows.iloc[row]
        face = cv2.resize(store["face"][row], (tile_px, tile_px), interpolation=cv2.INTER_CUBIC)
        scale = (tile_px - 1) / (store.meta["size_px"] - 1)
        drawn = draw_landmarks(face, store["landmarks_68"][row] * scale, COLOURS.get(about["method"], _OTHER))
        y, x = gap + k // columns * cell[0], gap + k % columns * cell[1]
        sheet[y : y + 2 * tile_px, x : x + tile_px] = np.concatenate([face, drawn])
        text = f"{about['clip_id']}:{about['frame']}"
        while cv2.getTextSize(text, *_FONT, 1)[0][0] > tile_px:
            text = text[1:]
        place = (x, y + 2 * tile_px + caption - 4)
        cv2.putText(sheet, text, place, *_FONT, _OTHER, 1, cv2.LINE_AA)
    return sheet


def write_sheet(store: Store) -> Path:
    """Write ``sheet.png`` into the folder of a crop store."""
    import cv2

    path = store.folder / "sheet.png"
    cv2.imwrite(str(path), cv2.cvtColor(crop_sheet(store), cv2.COLOR_RGB2BGR))
    return path
