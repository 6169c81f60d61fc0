"""The Silent Speech Challenge archive: Kaldi features of tongue and lips, and the sentences, of one speaker.

    Features/DCT_Features/features/30-dct/      <name>.ark, train*.scp, test*.scp (also 5-dct, 10-dct, 20-dct)
    Features/Auto_Features/features/30d/        the same of the auto-encoders
    TIMIT_training/TIMIT_Transcripts.txt        the training sentences, a line each: ``12. She had ... (remark)``
    WSJ05K_Test/WSJ0_5K_Transcripts.txt         the test sentences

Utterances are numbered without zeros in front (``..t7_..``), so that they are put in order by number; line k is the
text of the k-th utterance. The ``.scp`` files name the archives by paths of the machine that they were made on: only
the file's name counts. A dictionary and texts for language models are the user's, in ``text/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vultus.core.errors import UserError
from vultus.data.kaldi import entries, read_scp
from vultus.data.sources.rows import ClipRows, quarantined, relative

_FOLDERS = {"dct": "Features/DCT_Features/features/{}-dct", "dae": "Features/Auto_Features/features/{}d"}
_LISTS = {"train": "TIMIT_training/TIMIT_Transcripts.txt", "test": "WSJ05K_Test/WSJ0_5K_Transcripts.txt"}
_NUMBER = re.compile(r"t(\d+)_")


@dataclass(frozen=True)
class Options:
    """Which of the archive's features are read."""

    features: Literal["dct", "dae"] = "dct"
    dim: Literal[5, 10, 20, 30] = 30


def read(root: Path, options: Options) -> Iterator[ClipRows]:
    """Yield the utterances of both lists.

    Raises:
        UserError: a file is missing, an id has no number, or a list has not as many lines as utterances.
    """
    folder = root / _FOLDERS[options.features].format(options.dim)
    for group, transcripts in _LISTS.items():
        lists = sorted(folder.glob(f"{group}*.scp"))
        if len(lists) != 1:
            raise UserError(f"{folder} has {len(lists)} files {group}*.scp: restore the one of the archive")
        listed = sorted(read_scp(lists[0]), key=lambda entry: _number(entry[0], lists[0]))
        sentences = read_sentences(root / transcripts)
        if len(sentences) != len(listed):
            raise UserError(
                f"{lists[0].name} lists {len(listed)} utterances, {transcripts} has {len(sentences)} lines: every"
                " sentence would be given to another utterance; restore both files"
            )
        for (name, archive, offset), sentence in zip(listed, sentences, strict=True):
            yield _utterance(root, folder / Path(archive.replace("\\", "/")).name, name, offset, group, sentence)


def read_sentences(path: Path) -> list[str]:
    """The sentences of a transcript file: lower case, without their number, remarks and punctuation.

    Raises:
        UserError: the file is missing.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: restore the transcripts of the archive")
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return [clean_sentence(line) for line in lines]


def clean_sentence(line: str) -> str:
    """``12. She had your suit, (again) all year.`` -> ``she had your suit all year``."""
    text = re.sub(r"\([^)]*\)", " ", re.sub(r"^\s*\d+\s*\.", "", line)).lower()
    return " ".join(re.sub(r"[^a-z' ]", " ", text.replace("’", "'")).split())


def _number(name: str, path: Path) -> int:
    found = _NUMBER.search(name)
    if found is None:
        raise UserError(f"{path}: the utterance {name!r} has no number of the form t12_, by which its text is found")
    return int(found.group(1))


def _utterance(root: Path, archive: Path, name: str, offset: int, group: str, sentence: str) -> ClipRows:
    file = relative(archive, root)
    clip_id = f"{group}/{re.sub('[^A-Za-z0-9_-]', '-', name)}"  # both lists count from 1
    rows = {found: row for row, (_, found) in enumerate(entries(archive))}
    if offset not in rows:
        reason = f"has no matrix at byte {offset}, where the list says that {name} is: restore the archive"
        return ClipRows(quarantine=[quarantined("clips", file, reason, clip_id=clip_id)])
    if not sentence:
        return ClipRows(quarantine=[quarantined("clips", file, "its sentence is empty: correct it", clip_id=clip_id)])
    return ClipRows({
        "clip_id": clip_id, "subject": "ssc", "session": clip_id, "group": group, "kind": "silent",
        "feature_file": file, "feature_row": rows[offset], "transcript": sentence,
        "licence": "research, ESPCI Paris",
    })  # fmt: skip
