from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.kaldi_files import write_archive
from vultus.core.errors import UserError
from vultus.data.kaldi import entries, read_archive, read_at, read_matrix, read_scp


@pytest.fixture
def matrices() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"utt-{i}": rng.normal(0, 1 + i, (20 + i, 4)) for i in range(3)}


@pytest.mark.parametrize(("kind", "error"), [("FM", 1e-6), ("DM", 1e-6), ("CM", 0.12), ("CM2", 3e-4), ("CM3", 0.04)])
def test_every_form_of_a_matrix_is_read_back(
    tmp_path: Path, matrices: dict[str, np.ndarray], kind: str, error: float
) -> None:
    write_archive(tmp_path / "x.ark", matrices, kind)
    found = dict(read_archive(tmp_path / "x.ark"))
    assert list(found) == list(matrices)
    for name, matrix in matrices.items():
        assert found[name].dtype == np.float32
        assert np.abs(found[name] - matrix).max() < error


def test_bytes_of_a_column_lie_between_its_percentiles(tmp_path: Path) -> None:
    """Values by hand: percentiles 0, 64, 192, 255 of 255 in steps of one, so that byte b is the value b."""
    shares = [0, round(64 / 255 * 65535), round(192 / 255 * 65535), 65535]
    header = np.array([0, 255], "<f4").tobytes() + np.array([256, 1], "<i4").tobytes()
    body = np.array(shares, "<u2").tobytes() + np.arange(256, dtype="u1").tobytes()
    (tmp_path / "x.ark").write_bytes(b"a \0BCM " + header + body)
    np.testing.assert_allclose(read_matrix(tmp_path / "x.ark", 0)[:, 0], np.arange(256), atol=0.01)


def test_a_matrix_is_found_by_position_and_by_offset(tmp_path: Path, matrices: dict[str, np.ndarray]) -> None:
    path = tmp_path / "x.ark"
    offsets = write_archive(path, matrices)
    assert dict(entries(path)) == offsets
    np.testing.assert_allclose(read_matrix(path, 2), matrices["utt-2"], rtol=1e-6)
    np.testing.assert_allclose(read_at(path, offsets["utt-1"]), matrices["utt-1"], rtol=1e-6)
    with pytest.raises(UserError, match="has 3 matrices and none at position 3"):
        read_matrix(path, 3)


def test_a_list_of_utterances(tmp_path: Path) -> None:
    path = tmp_path / "train.scp"
    path.write_text("a_t1_x /home/them/mfcc/raw.ark:17\n\nb C:/old place/raw.ark:4711\n")
    assert read_scp(path) == [("a_t1_x", "/home/them/mfcc/raw.ark", 17), ("b", "C:/old place/raw.ark", 4711)]
    path.write_text("a raw.ark\n")
    with pytest.raises(UserError, match=r"line 1 is 'a raw.ark': expected 'name file.ark:offset'"):
        read_scp(path)


def test_damage_is_named(tmp_path: Path, matrices: dict[str, np.ndarray]) -> None:
    path = tmp_path / "x.ark"
    write_archive(path, matrices)
    whole = path.read_bytes()
    for content, message in (
        (whole[:-5], "it ends within a matrix"),
        (whole.replace(b"FM", b"XM", 1), "the matrix type b'XM' is none of"),
        (b"a  [ 1 2 3 ]\n", "not with Kaldi's binary mark"),
    ):
        path.unlink()
        path.with_name(f"{len(content)}.ark").write_bytes(content)
        with pytest.raises(UserError, match=message):
            list(read_archive(path.with_name(f"{len(content)}.ark")))
        path.write_bytes(content)
    with pytest.raises(UserError, match="is missing: restore the archive"):
        read_matrix(tmp_path / "none.ark", 0)
