"""Stage `audio`: log-mel, MFCC, pitch and energy on the video's clock. ``python -m stages.audio --dataset world``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read `datasets.D.root` and `datasets.D.audio`; write data/features/D/audio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()
    name = arguments.dataset

    from vultus.audio.features import AudioConfig
    from vultus.audio.store import build_audio
    from vultus.data.parquet import ClipTables

    dataset = subsection(load_params(arguments.params), "datasets", name)
    config = section(AudioConfig, dataset.get("audio") or {}, f"datasets.{name}.audio")
    folder = Path("data/features") / name / "audio"
    store = build_audio(folder, ClipTables(Path("data/tables") / name / "valid"), Path(dataset["root"]), config)
    spoken_s = len(store) / store.meta["feature_rate_hz"]
    n_heard = store.meta["n_clips"] if len(store) else 0
    wrote(
        folder,
        f"{spoken_s:.1f} s of sound from {n_heard} clips; "
        f"{store.meta['clips_without_sound']} clips without sound, {len(store.failed)} that cannot be decoded",
    )


if __name__ == "__main__":
    run_stage(main)
