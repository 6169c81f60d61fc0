"""How fast speech is made and its features are computed. Run by hand: ``python -m benchmarks.audio_features``

Real-time factor = seconds of computing a second of sound; the first call of each part (imports, compiling) is not
counted.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from vultus.audio import pitch, spectra
from vultus.audio.features import AudioConfig, compute_features
from vultus.world.formant import synthesise_formant
from vultus.world.sentences import VARIED_SENTENCES
from vultus.world.speech import SpeechRequest, Utterance, espeak_available, synthesise_many
from vultus.world.tongue import tongue_parameters, ultrasound_pictures
from vultus.world.visemes import speech_aus


def measure(name: str, run: Callable[[], object], sound_s: float) -> None:
    run()
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    print(f"{name:<44} {seconds * 1e3:10.1f} ms {seconds / sound_s:12.5f}")


def main() -> None:
    requests = [SpeechRequest(text, voice) for text in VARIED_SENTENCES for voice in ("f1", "m1")]
    utterances: list[Utterance] = [synthesise_formant(request) for request in requests]
    spoken_s = sum(utterance.duration_s for utterance in utterances)
    wav = np.concatenate([utterance.wav for utterance in utterances])[: 60 * spectra.SAMPLE_RATE_HZ]
    sound_s = len(wav) / spectra.SAMPLE_RATE_HZ
    print(f"{'part':<44} {'time':>13} {'real-time factor':>18}")
    if espeak_available():
        measure(f"eSpeak NG, {len(requests)} sentences", lambda: synthesise_many(requests), spoken_s)
    measure(f"own synthesiser, {len(requests)} sentences", lambda: [synthesise_formant(r) for r in requests], spoken_s)
    measure("visemes and tongue at 25 fps", lambda: [speech_aus(u, 25.0, 75) for u in utterances], spoken_s)
    rng = np.random.default_rng(0)
    parameters = tongue_parameters(utterances[0], 60.0, int(60 * utterances[0].duration_s))
    measure("ultrasound at 60 fps", lambda: ultrasound_pictures(parameters, rng), utterances[0].duration_s)
    measure("log-mel", lambda: spectra.log_mel(wav), sound_s)
    measure("sync mel", lambda: spectra.sync_mel(wav), sound_s)
    measure("MFCC with deltas", lambda: spectra.with_deltas(spectra.mfcc(wav)), sound_s)
    measure("pitch, autocorrelation", lambda: pitch.f0_autocorrelation(wav), sound_s)
    measure("pitch, pYIN (10 s)", lambda: pitch.f0_pyin(wav[: 10 * spectra.SAMPLE_RATE_HZ]), 10.0)
    measure("all that the store holds", lambda: compute_features(wav, AudioConfig()), sound_s)
    for minutes in (1, 10):
        long = np.tile(wav, minutes)
        tracemalloc.start()
        compute_features(long, AudioConfig())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"peak memory of the features of {minutes:>2} min{'':<11} {peak / 2**20:10.0f} MiB")


if __name__ == "__main__":
    main()
