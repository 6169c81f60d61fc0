"""The ``audio`` store: features of every clip with sound, and which of them belong to each video frame."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vultus.audio import clock, features, pitch, spectra
from vultus.audio.clock import FEATURE_RATE_HZ, feature_spans
from vultus.audio.features import AudioConfig, compute_features, feature_times_s
from vultus.audio.spectra import SAMPLE_RATE_HZ
from vultus.data import media
from vultus.data.parquet import ClipTables
from vultus.data.stores import Clip, ClipArrays, Store, build_store, content_hash, file_hash


@dataclass(frozen=True)
class HearClip:
    """Computes the features of one clip; picklable, for `build_store`."""

    root: Path
    """Of the data set's media."""
    config: AudioConfig
    """``audio.D``."""

    def key(self, clip: Clip) -> str:
        """Hash of the sound, the video's clock and the settings."""
        sound = file_hash(self.root / clip["audio"]) if clip["audio"] else "silent"
        return content_hash(sound, clip["subject"], *_video_clock(clip), asdict(self.config))

    def __call__(self, clip: Clip) -> ClipArrays:
        """Decode the sound and compute its features.

        Raises:
            MediaError: the sound cannot be decoded.
        """
        n_frames, fps = _video_clock(clip)
        if clip["audio"]:
            wav = media.read_audio(self.root / clip["audio"], SAMPLE_RATE_HZ)
        else:
            wav, n_frames, fps = np.zeros(1, np.float32), 0, 25.0
        heard = compute_features(wav, self.config, n_frames, fps)
        n_rows = len(heard.log_mel)
        rows = pd.DataFrame(
            {
                "frame": np.arange(n_rows, dtype=np.int32),
                "time_s": feature_times_s(n_rows),
                "subject": pd.Series([clip["subject"]] * n_rows, dtype="object"),
                "active": heard.active,
            }
        )
        spans = feature_spans(n_frames or 0, fps or 25.0)
        video_frames = pd.DataFrame(
            {
                "frame": np.arange(len(spans), dtype=np.int32),
                "time_s": (np.arange(len(spans)) + 0.5) / (fps or 25.0),
                "start": spans[:, 0].astype(np.int32),
                "stop": spans[:, 1].astype(np.int32),
            }
        )
        arrays = {
            "log_mel": heard.log_mel,
            "mfcc": heard.mfcc,
            "f0_hz": heard.f0_hz,
            "voicing": heard.voicing,
            "energy_db": heard.energy_db,
            "zero_crossings": heard.zero_crossings,
        }
        return ClipArrays(rows, arrays, {"video_frames": video_frames})


def build_audio(folder: Path, tables: ClipTables, root: Path, config: AudioConfig, *, jobs: int | None = None) -> Store:
    """Write the store ``audio`` of a data set; its ``meta.json`` counts the clips without sound.

    A data set without any sound gets an empty store, so that a pipeline over several data sets goes on.

    Args:
        folder: of the store.
        tables: the valid tables of the data set.
        root: of the data set's media.
        config: ``audio.D``.
        jobs: processes.

    Raises:
        UserError: there are no clips, or none of the sounds can be decoded.
    """
    clips = tables.records()
    with_sound = [clip for clip in clips if clip["audio"]]
    hear = HearClip(Path(root), config)
    store = build_store(
        folder,
        with_sound or clips[:1],
        hear,
        hear.key,
        meta={
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "feature_rate_hz": FEATURE_RATE_HZ,
            "framing": "centred: feature frame j lies at j / feature_rate_hz seconds",
            "log_mel": "ln of Slaney mel magnitudes, 25 ms Hann window, 0..8000 Hz, floor 1e-5",
            "mfcc": "cepstra from c0, deltas, double deltas; 25 ms Hamming window, pre-emphasis 0.97, 26 HTK mels",
            "video_frames": "start and stop count feature frames from the first row of the clip",
            **asdict(config),
        },
        code=[clock, features, pitch, spectra, media],
        jobs=jobs,
    )
    store.meta["clips_without_sound"] = len(clips) - len(with_sound)
    (Path(folder) / "meta.json").write_text(json.dumps(store.meta, indent=2) + "\n")
    return store


def _video_clock(clip: Clip) -> tuple[int | None, float | None]:
    """Frames and rate of the clip's video; None for a sound alone."""
    if clip["video"] is None or clip["n_frames"] is None or clip["fps"] is None:
        return None, None
    return int(clip["n_frames"]), float(clip["fps"])
