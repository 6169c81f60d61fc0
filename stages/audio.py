"""Stage `audio`: log-mel, MFCC, pitch, energy on the video's clock. ``python -m stages.audio --dataset emotional``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, store_section
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `audio.D`; write data/features/D/audio."""
    arguments = stage_arguments(__doc__, "dataset")

    from vultus.audio.features import AudioConfig
    from vultus.audio.store import build_audio
    from vultus.data.parquet import ClipTables

    name = arguments.dataset
    root, config = store_section(AudioConfig, load_params(arguments.params), "audio", name)
    folder = Path("data/features") / name / "audio"
    store = build_audio(folder, ClipTables(Path("data/tables") / name / "valid"), root, config)
    spoken_s = len(store) / store.meta["feature_rate_hz"]
    n_heard = store.meta["n_clips"] if len(store) else 0
    wrote(
        folder,
        f"{spoken_s:.1f} s of sound from {n_heard} clips; "
        f"{store.meta['clips_without_sound']} clips without sound, {len(store.failed)} that cannot be decoded",
    )


if __name__ == "__main__":
    run_stage(main)
