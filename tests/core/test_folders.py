from pathlib import Path

import pytest

from vultus.core.folders import replaced_folder


def test_a_folder_is_replaced_only_without_an_error(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with replaced_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(ZeroDivisionError), replaced_folder(target) as folder:
        (folder / "new").write_text(str(1 / 0))
    assert [path.name for path in target.iterdir()] == ["old"]
    with replaced_folder(target) as folder:
        (folder / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
