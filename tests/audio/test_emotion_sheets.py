from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vultus.audio.emotion_sheets import ShownUtterance, confusion_sheet, utterance_sheet


def shown(seconds: float, bins: tuple[int, ...]) -> ShownUtterance:
    n = round(100 * seconds)
    f0_hz = np.where(np.arange(n) % 20 < 12, 150.0, 0.0)
    histograms = {f"block_{size}": np.full(size, 1.0 / size) for size in bins}
    return ShownUtterance("anger, taken for anger", True, np.full((n, 80), -5.0), f0_hz, histograms)


def test_utterances_and_their_histograms(tmp_path: Path) -> None:
    utterance_sheet(tmp_path / "a.png", [shown(1.0, (8, 4)), shown(2.0, (8, 4))], "two")
    utterance_sheet(tmp_path / "b.png", [shown(1.0, ())], "without histograms")
    with_bars, plain = cv2.imread(str(tmp_path / "a.png")), cv2.imread(str(tmp_path / "b.png"))
    assert with_bars is not None
    assert plain is not None
    assert with_bars.shape[0] > 1.7 * plain.shape[0] - 60
    assert with_bars.shape[1] > plain.shape[1]


def test_the_same_sheet_has_the_same_bytes(tmp_path: Path) -> None:
    counts = np.array([[3.0, 1.0], [0.0, 0.0]])
    for name in ("a", "b"):
        confusion_sheet(tmp_path / f"{name}.png", counts, ("anger", "fear"), "confusions")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
