import numpy as np
import pytest

from vultus.audio.windows import mfcc_window


def test_a_window_holds_the_frames_around_in_order() -> None:
    mfcc = np.arange(6 * 4 * 2, dtype=np.float32).reshape(6, 4, 2) + 1
    window = mfcc_window(mfcc, 3, 3)
    assert window.shape == (6, 28, 2)
    rows = mfcc.reshape(24, 2)
    for t in range(6):
        for k in range(28):
            at = 4 * (t - 3) + k
            expected = rows[at] if 0 <= at < 24 else np.zeros(2)
            assert (window[t, k] == expected).all()


def test_syncnet_hears_five_frames_from_the_first_on() -> None:
    mfcc = np.arange(6 * 4 * 1, dtype=np.float32).reshape(6, 4, 1)
    assert (mfcc_window(mfcc, 0, 4)[1, :, 0] == np.arange(4, 24)).all()


def test_only_a_clips_mfccs_are_taken() -> None:
    with pytest.raises(ValueError, match=r"as \(T, M, C\), got \(8, 13\)"):
        mfcc_window(np.zeros((8, 13)), 0, 4)
