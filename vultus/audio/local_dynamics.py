"""Local dynamic features: how pitch moves inside and between voiced runs, as normalised histograms.

Guan et al. 2017 (arXiv 1803.07738) describe an utterance by the probability distribution of its local pitch dynamics:
independent of the text as a mean or a range is, yet made of local movements. The abstract gives the idea and not the
bins; blocks, ranges and edges below are ours. Edges are fixed numbers, never fitted to data, so a histogram means the
same in training and test. The first and the last bin of every block are open-ended.

    block   sample                                                      unit      bins  weight
    ldp     pitch difference over a step of 30 ms inside a run           st/s     n_bins  1
    ldp_e   the same                                                     st/s     n_bins  RMS of the first frame
    ppd     pitch level against the reference                            st         18    1
    slope   least-squares slope of a run                                 st/s       10    length of the run
    jump    difference of the median levels of neighbouring runs         st         10    1
    dur     length of runs, then of the gaps between, logarithmic        ms        6+6    1
    lde     level difference over the step inside a run                  dB/s     n_bins  1

Legend as in `vultus.audio.prosody`: V voiced frames, R runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import ndtr

from vultus.audio.prosody import HOP_S, Array, PitchRuns, Tracks, semitones, voiced_runs

Block = Literal["ldp", "ldp_e", "ppd", "slope", "jump", "dur", "lde"]
BLOCKS: tuple[Block, ...] = get_args(Block)

_LEVEL_EDGES = np.linspace(-8.0, 8.0, 17)
_SLOPE_EDGES = np.linspace(-40.0, 40.0, 9)
_JUMP_EDGES = np.linspace(-8.0, 8.0, 9)
_DURATION_EDGES = np.linspace(np.log(30.0), np.log(600.0), 7)[1:-1]
"""ln ms; the outermost bins are open, so 30 and 600 ms bound nothing."""
_ENERGY_RANGE_DB_S = 400.0
_MIN_RUNS, _MIN_VOICED = 3, 20


@dataclass(frozen=True)
class LocalDynamics:
    """Which histograms, and how they are made."""

    blocks: tuple[Block, ...] = ("ldp", "ppd", "slope", "jump")
    """Histograms in the order of the vector."""
    local_step: int = 3
    """Frames of 10 ms over which pitch and level are subtracted."""
    n_bins: int = 22
    """Bins of ldp, ldp_e and lde, the two open ones included."""
    range_st_s: float = 60.0
    """ldp's and ldp_e's bounded bins span -range..range."""
    soft_bins: bool = False
    """Each sample is spread by a Gaussian of half a bin: smoother histograms of short utterances."""
    cross_gap: bool = False
    """Subtract across unvoiced gaps, as if the runs were one: what "local" forbids."""
    shuffle_time: bool = False
    """Shuffle the voiced pitch values of each utterance first: keeps levels and destroys dynamics (a control)."""

    def __post_init__(self) -> None:
        if not self.blocks or len(set(self.blocks)) < len(self.blocks):
            raise ValueError(f"blocks must name histograms once each, not {', '.join(self.blocks) or 'nothing'}")
        if self.local_step < 1 or self.n_bins < 4 or self.range_st_s <= 0:
            raise ValueError(
                f"local_step >= 1, n_bins >= 4 and range_st_s > 0 are needed, not {self.local_step}, {self.n_bins} and"
                f" {self.range_st_s:g}"
            )

    def edges(self, block: Block) -> tuple[Array, ...]:
        """The finite edges of each histogram of a block; n edges bound n + 1 bins."""
        if block == "lde":
            return (np.linspace(-_ENERGY_RANGE_DB_S, _ENERGY_RANGE_DB_S, self.n_bins - 1),)
        if block == "dur":
            return (_DURATION_EDGES, _DURATION_EDGES)
        fixed = {"ppd": _LEVEL_EDGES, "slope": _SLOPE_EDGES, "jump": _JUMP_EDGES}
        return (fixed.get(block, np.linspace(-self.range_st_s, self.range_st_s, self.n_bins - 1)),)


def columns(settings: LocalDynamics) -> tuple[str, ...]:
    """Names of the vector's values: ``ldp_00``, ``ldp_01``, ..."""
    sizes = {block: sum(len(edges) + 1 for edges in settings.edges(block)) for block in settings.blocks}
    return tuple(f"{block}_{i:02d}" for block, size in sizes.items() for i in range(size))


def is_voiced_enough(runs: PitchRuns) -> bool:
    """At least 3 runs and 20 voiced frames; less is described by zeros."""
    return len(runs.start) >= _MIN_RUNS and len(runs.frame) >= _MIN_VOICED


def local_dynamics(
    tracks: Tracks, settings: LocalDynamics, reference_hz: float | None = None, rng: np.random.Generator | None = None
) -> Array:
    """The histograms of an utterance, each of which sums to 1, or is zero where it has no samples.

    Args:
        tracks: of the utterance without silence at its ends.
        settings: which histograms.
        reference_hz: pitch of 0 st; None takes the median of the utterance.
        rng: used by ``shuffle_time`` alone.

    Returns:
        (D,) float32 in 0..1, in the order of `columns`; all zero if there is too little voice.

    Raises:
        ValueError: ``shuffle_time`` without a generator.
    """
    runs = voiced_runs(tracks.f0_hz)
    if not is_voiced_enough(runs):
        return np.zeros(len(columns(settings)), np.float32)
    level = semitones(runs.f0_hz, reference_hz or float(np.median(runs.f0_hz)))
    if settings.shuffle_time:
        if rng is None:
            raise ValueError("shuffle_time needs a generator")
        level = rng.permutation(level)
    histograms = []
    for block in settings.blocks:
        samples = block_samples(block, level, tracks.energy_db[runs.frame], runs, settings)
        for (values, weights), edges in zip(samples, settings.edges(block), strict=True):
            histograms.append(histogram(values, edges, weights, settings.soft_bins))
    return np.concatenate(histograms).astype(np.float32)


def block_samples(
    block: Block, level_st: Array, energy_db: Array, runs: PitchRuns, settings: LocalDynamics
) -> list[tuple[Array, Array | None]]:
    """Samples and weights of each histogram of a block.

    Args:
        block: which.
        level_st: (V,) pitch in semitones.
        energy_db: (V,).
        runs: of the same V frames.
        settings: step, and whether gaps are crossed.
    """
    if block == "ppd":
        return [(level_st, None)]
    if block == "slope":
        return [(_slopes(level_st, runs), runs.length)]
    if block == "jump":
        medians = [np.median(part) for part in np.split(level_st, runs.start[1:])]
        return [(np.diff(medians), None)]
    if block == "dur":
        return [(np.log(1000.0 * HOP_S * frames), None) for frames in (runs.length, np.maximum(runs.gap, 1))]
    step = settings.local_step
    first = np.arange(max(0, len(level_st) - step))
    if not settings.cross_gap:
        first = first[runs.run[first] == runs.run[first + step]]
    moving = energy_db if block == "lde" else level_st
    rate = (moving[first + step] - moving[first]) / (step * HOP_S)
    return [(rate, 10.0 ** (energy_db[first] / 20.0) if block == "ldp_e" else None)]


def histogram(samples: Array, edges: Array, weights: Array | None = None, soft: bool = False) -> Array:
    """Share of the weight in each bin: ``h_b = sum_t w_t [x_t in bin b] / sum_t w_t``.

    Example: samples 0.5 and 3 with edges 0, 1 give (0, 1/2, 1/2). Soft bins put the mass of a Gaussian around each
    sample into the bins instead; its deviation is half the width of a bin.

    Args:
        samples: (N,).
        edges: (E,) rising, evenly spaced; a sample on an edge belongs to the bin above.
        weights: (N,), 1 if None.
        soft: soft bins.

    Returns:
        (E + 1,), the sum 1; zeros without samples or without weight.
    """
    weight = np.ones(len(samples)) if weights is None else np.asarray(weights, np.float64)
    if not weight.sum() > 0:
        return np.zeros(len(edges) + 1)
    if soft:
        deviation = 0.5 * (edges[1] - edges[0])
        below = ndtr((edges - np.asarray(samples)[:, None]) / deviation)
        mass = np.diff(below, axis=1, prepend=0.0, append=1.0)
        return np.asarray(weight @ mass / weight.sum())
    counts = np.bincount(np.searchsorted(edges, samples, side="right"), weight, minlength=len(edges) + 1)
    return np.asarray(counts / weight.sum())


def _slopes(level_st: Array, runs: PitchRuns) -> Array:
    """(R,) least-squares slope of each run in st/s."""
    n = runs.length
    time = runs.frame * HOP_S
    time = time - (np.add.reduceat(time, runs.start) / n)[runs.run]
    return np.asarray(np.add.reduceat(time * level_st, runs.start) / np.add.reduceat(time * time, runs.start))
