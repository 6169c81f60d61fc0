"""Contact sheets of action unit systems: attention maps, landmarks and decisions over the faces they were made for.

Faces are (B, l, l, 3) uint8 RGB throughout; A action units, K landmarks, M cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vultus.face.overlay import FAINT, INK, PAPER, RGB, RIGHT, WRONG, grid, heat_over_face, points_over_face, write_text

Array = npt.NDArray[Any]

_TILE_PX = 104
_MAP_PEOPLE = 4


def attention_sheet(
    faces: RGB, aus: Sequence[int], occurrence: Array, predefined: Array, refined: Array, title: str
) -> RGB:
    """Two rows a person, one column an AU: the maps as drawn around the landmarks, and as the network refined them.

    Args:
        faces: the first four are shown.
        aus: FACS numbers of the columns.
        occurrence: (B, A), above 0 where the AU is present; its number is green there.
        predefined: (B, A, M, M) in 0..1.
        refined: (B, A, m, m) in 0..1.
        title: of the sheet.
    """
    tiles, captions = [], []
    for person in range(min(_MAP_PEOPLE, len(faces))):
        face = cv2.resize(faces[person], (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_CUBIC)
        numbers = [
            (f"AU{au}", RIGHT if present else FAINT) for au, present in zip(aus, occurrence[person] > 0, strict=True)
        ]
        for name, maps in (("predefined", predefined), ("refined", refined)):
            tiles.append([face, *(heat_over_face(faces[person], heat, _TILE_PX) for heat in maps[person])])
            captions.append([(name, FAINT), *numbers])
    return grid(tiles, captions, title)


def landmark_sheet(faces: RGB, predicted: Array, truth: Array, error: Array, title: str) -> RGB:
    """True points in white under predicted ones in green, with the error below each face.

    Args:
        faces: all are shown, in two rows.
        predicted: (B, K, 2) px.
        truth: (B, K, 2) px.
        error: (B,) share of the eye distance.
        title: of the sheet.
    """
    white, green = (255, 255, 255), (40, 220, 90)
    tiles = [
        points_over_face(face, [(truth[i], white), (predicted[i], green)], 2 * _TILE_PX) for i, face in enumerate(faces)
    ]
    texts = [(f"{100 * value:.1f} % of the eye distance", INK) for value in error.tolist()]
    return _two_rows(tiles, texts, title)


def decision_sheet(
    faces: RGB, people: Sequence[str], aus: Sequence[int], occurrence: Array, probability: Array, title: str
) -> RGB:
    """Beside each face its action units: found (green), missed (grey) and false alarms (red), with probabilities.

    Args:
        faces: all are shown, in two rows.
        people: name below each face.
        aus: FACS numbers.
        occurrence: (B, A): 1 present, 0 absent, negative where not coded (not shown).
        probability: (B, A); from 0.5 on the AU counts as found.
        title: of the sheet.
    """
    side, tiles = 2 * _TILE_PX, []
    for i, face in enumerate(faces):
        tile = np.full((side, side + 80, 3), PAPER, np.uint8)
        tile[:, :side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
        line = 0
        for au, p, target in zip(aus, probability[i], occurrence[i], strict=True):
            if target < 0 or (target == 0 and p < 0.5):
                continue
            colour = (RIGHT if p >= 0.5 else FAINT) if target else WRONG
            write_text(tile, f"AU{au} {p:.2f}", side + 6, 14 + 17 * line, colour)
            line += 1
        tiles.append(tile)
    return _two_rows(tiles, [(name, INK) for name in people], title)


def _two_rows(tiles: Sequence[RGB], texts: Sequence[tuple[str, tuple[int, int, int]]], title: str) -> RGB:
    half = -(-len(tiles) // 2)
    return grid([tiles[:half], tiles[half:]], [texts[:half], texts[half:]], title)
