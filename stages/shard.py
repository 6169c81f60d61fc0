"""A part of a feature store's clips into the cache, before its stage: ``python -m stages.shard --store crops ...``

No stage of ``dvc.yaml``: it writes nothing but per-clip results below ``.cache/vultus``, which the stage then finds.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote
from vultus.core.errors import UserError
from vultus.data.parquet import ClipTables


class Part(ClipTables):
    """The tables of a data set with every n-th of its clips; a copy in another process has all of them."""

    def __init__(self, folder: Path, part: int, parts: int) -> None:
        super().__init__(folder)
        self._every = slice(part - 1, None, parts)

    def __reduce__(self) -> tuple[type[ClipTables], tuple[Path]]:
        return ClipTables, (self.folder,)

    def records(self) -> list[dict[str, Any]]:
        """The clips of this part."""
        return super().records()[self._every]


def main() -> None:
    """Read the store's section and tables; fill .cache/vultus/D/STORE with every n-th clip."""
    arguments = stage_arguments(__doc__, "store", "dataset", "part")
    store, name = arguments.store, arguments.dataset
    part, _, parts = arguments.part.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UserError(f"--part {arguments.part}: give it as 2/4, the second of four")
    tables = Part(Path("data/tables") / name / "valid", int(part), int(parts))
    if not tables.records():
        return
    # The last two folders name the cache; the small store itself is thrown away.
    scratch = Path(tempfile.mkdtemp(dir=_existing(Path(".cache/vultus"))))
    try:
        built = _build(store, scratch / name / store, tables, load_params(arguments.params))
        wrote(Path(".cache/vultus") / name / store, f"{len(built.clips)} clips, part {arguments.part}")
    finally:
        shutil.rmtree(scratch)


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(store: str, folder: Path, tables: Part, params: dict[str, Any]) -> Any:
    from vultus.data.stores import open_store

    name = folder.parent.name
    landmarks = Path("data/features") / name / "landmarks"
    if store == "landmarks":
        from vultus.face.locate import LandmarkConfig, build_landmarks

        root, locate = store_section(LandmarkConfig, params, store, name)
        return build_landmarks(folder, tables, root, locate, jobs=1)
    if store == "crops":
        from vultus.face.crops import CropConfig, build_crops

        root, crop = store_section(CropConfig, params, store, name)
        return build_crops(folder, tables, root, open_store(landmarks), crop, jobs=1)
    if store == "faces":
        from vultus.face.faces import FaceConfig, build_faces

        root, cut = store_section(FaceConfig, params, store, name)
        return build_faces(folder, tables, root, open_store(landmarks), cut, jobs=1)
    if store == "audio":
        from vultus.audio.features import AudioConfig
        from vultus.audio.store import build_audio

        root, hear = store_section(AudioConfig, params, store, name)
        return build_audio(folder, tables, root, hear, jobs=1)
    raise UserError(f"--store {store}: only landmarks, crops, faces and audio are built clip by clip in parts")


if __name__ == "__main__":
    run_stage(main)
