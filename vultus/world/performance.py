"""What a face does during a clip: action units, blinks, gaze and head pose, frame by frame.

Action units are thresholded Gaussian processes. A latent value per AU (a Gaussian copula whose correlations reproduce
the phi coefficients of BP4D and DISFA) moves smoothly; where it exceeds a threshold the AU is active. The threshold has
a part of the task (happiness, sadness, ...; BP4D's base rates), and a part of the person, drawn once: base rates
differ between people as in BP4D, which is what makes identity a shortcut for a detector.

The latent process is a two-pole autoregression. Its mean time above a threshold follows from Rice's formula (S. O.
Rice, Mathematical Analysis of Random Noise, Bell System Technical Journal 1945, section 3.3), so the pole of each AU is
solved from the published mean run length instead of being tuned.

The intensities made here are the labels *and* what moves the mesh: there is no second, hidden signal.

Legend: T frames, A action units in the order of ``muscles.AUS``, K action units of the copula (``COPULA_AUS``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

from vultus.world.muscles import AUS

Floats = NDArray[np.float32]
Array = NDArray[np.float64]

FPS = 25.0
"""Frame rate of BP4D, for which the run lengths are given."""

COPULA_AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24, 5, 9, 11, 16, 18, 20, 22, 25, 26, 27, 28)
"""The twelve AUs of BP4D, then the others. 19 (tongue) and 43 (lids closed) are no part of it."""

HABIT_SD = 0.5
"""Spread of the personal thresholds in standard deviations of the latent process."""

PRESENT = 2.0
"""Occurrence means intensity B (2) or more, DISFA's convention; see `occurrence`."""

TASKS = {
    "T1": "happiness",
    "T2": "sadness",
    "T3": "surprise",
    "T4": "embarrassment",
    "T5": "fear",
    "T6": "pain",
    "T7": "anger",
    "T8": "disgust",
}
"""BP4D's tasks and the emotion that each elicits."""

_RATES_PERCENT: dict[str, tuple[int, ...]] = {
    # BP4D, share of the frames of a task: 1 2 4 6 7 10 12 14 15 17 23 24 (counted over its public label lists) ...
    # ... and a reconstruction for the AUs that BP4D's frames do not code: 5 9 11 16 18 20 22 25 26 27 28.
    "T1": (14, 16, 7, 62, 62, 71, 82, 51, 16, 33, 15, 12, 3, 4, 2, 5, 3, 4, 3, 55, 15, 2, 4),
    "T2": (22, 9, 44, 7, 28, 16, 2, 21, 6, 31, 9, 16, 2, 3, 8, 3, 3, 4, 2, 15, 8, 1, 4),
    "T3": (18, 18, 19, 26, 35, 29, 33, 36, 9, 21, 10, 12, 20, 3, 2, 4, 4, 4, 4, 55, 40, 8, 3),
    "T4": (21, 24, 9, 76, 69, 81, 90, 56, 17, 35, 19, 10, 3, 4, 2, 5, 4, 4, 3, 55, 15, 1, 8),
    "T5": (39, 28, 11, 60, 65, 76, 79, 55, 23, 37, 17, 15, 22, 5, 3, 6, 3, 18, 3, 45, 22, 3, 4),
    "T6": (15, 11, 31, 40, 57, 57, 37, 50, 11, 36, 24, 26, 4, 20, 5, 6, 3, 14, 3, 40, 18, 3, 5),
    "T7": (18, 17, 6, 45, 53, 67, 67, 53, 22, 33, 19, 10, 10, 8, 3, 6, 5, 5, 5, 35, 12, 1, 4),
    "T8": (21, 13, 43, 48, 68, 72, 49, 49, 36, 50, 17, 22, 3, 38, 6, 8, 4, 5, 4, 35, 14, 1, 4),
    # What a face does while it talks, besides the articulation: brows for emphasis, lids, some smiles (reconstruction).
    "speech": (14, 13, 12, 15, 22, 8, 18, 14, 6, 8, 4, 2, 5, 3, 1, 2, 1, 1, 1, 20, 5, 1, 1),
}

_PHI: dict[tuple[int, int], float] = {
    # BP4D
    (6, 7): 0.54, (6, 12): 0.54, (10, 12): 0.53, (6, 10): 0.50, (1, 2): 0.46, (17, 24): 0.42, (7, 10): 0.39,
    (7, 12): 0.35, (15, 17): 0.29, (17, 23): 0.27, (10, 14): 0.26, (23, 24): 0.26, (6, 14): 0.25, (15, 23): 0.24,
    (12, 14): 0.23, (14, 24): 0.23, (7, 14): 0.20, (7, 15): 0.17, (15, 24): 0.17, (6, 15): 0.16, (10, 15): 0.16,
    (14, 17): 0.16, (14, 15): 0.15, (14, 23): 0.15, (1, 4): 0.12, (12, 15): 0.12, (4, 12): -0.26, (10, 24): -0.10,
    (12, 24): -0.09, (2, 4): -0.08, (4, 10): -0.08, (4, 6): -0.06,
    # DISFA
    (12, 25): 0.46, (6, 25): 0.36, (4, 9): 0.34, (25, 26): 0.31, (6, 9): 0.19, (9, 25): 0.12, (2, 25): -0.05,
    # reconstruction: lids and brows rise together; pressed lips are not parted; a jaw that hangs parts the lips
    (1, 5): 0.25, (2, 5): 0.30, (5, 26): 0.15, (9, 10): 0.20, (20, 25): 0.15, (18, 22): 0.30, (16, 25): 0.20,
    (24, 25): -0.30, (24, 26): -0.15, (23, 25): -0.15, (17, 25): -0.15, (25, 28): -0.15, (25, 27): 0.12, (26, 27): 0.15,
}  # fmt: skip

_MEAN_RUN_FRAMES: dict[int, float] = {
    # BP4D at 25 fps
    1: 65, 2: 66, 4: 72, 6: 125, 7: 141, 10: 147, 12: 184, 14: 119, 15: 38, 17: 41, 23: 30, 24: 48,
    # DISFA at 20 fps, times 1.25
    9: 101, 25: 145, 26: 62,
    # reconstruction
    5: 50, 11: 50, 16: 40, 18: 25, 20: 50, 22: 30, 27: 35, 28: 30,
}  # fmt: skip

PROTOTYPES: dict[str, dict[int, float]] = {
    # share of people who use the AU, after Du, Tao and Martinez, PNAS 2014
    "happiness": {12: 1.0, 25: 1.0, 6: 0.51},
    "sadness": {4: 1.0, 15: 1.0, 1: 0.60, 6: 0.50, 11: 0.26, 17: 0.67},
    "fear": {1: 1.0, 4: 1.0, 20: 1.0, 25: 1.0, 2: 0.57, 5: 0.63, 26: 0.33},
    "anger": {4: 1.0, 7: 1.0, 24: 1.0, 10: 0.26, 17: 0.52, 23: 0.29},
    "surprise": {1: 1.0, 2: 1.0, 25: 1.0, 26: 1.0, 5: 0.66},
    "disgust": {9: 1.0, 10: 1.0, 17: 1.0, 4: 0.31, 24: 0.26},
    # reconstruction
    "embarrassment": {12: 1.0, 24: 0.5, 6: 0.4, 7: 0.4},
    "pain": {4: 1.0, 6: 0.8, 7: 1.0, 9: 0.5, 10: 0.6, 25: 0.5},
    "boredom": {7: 0.3, 15: 0.4, 17: 0.3},
    "contempt": {14: 1.0},
    "calm": {},
    "neutral": {},
}
"""Emotion -> {AU: share of people who use it}."""

ARTICULATORS = (18, 19, 22, 23, 24, 25, 26, 27, 28)
"""AUs that the speaker's phones alone decide while he talks."""

OPENERS = (10, 16, 20)
"""AUs of an expression that would part lips that a /p b m/ holds closed; they fade where the visemes close the lips."""


@dataclass(frozen=True)
class Performance:
    """One clip's movements.

    Attributes:
        au_intensity: (T, A) float32, 0..5, columns as ``muscles.AUS``.
        gaze: (T, 2) float32 rad, yaw (positive to image right) and pitch (positive up) of the eyes in the head.
        pose: (T, 6) float32, pitch, yaw, roll in rad and x, y, z in cm, as in ``docs/architecture.md`` 9.
    """

    au_intensity: Floats
    gaze: Floats
    pose: Floats

    def __post_init__(self) -> None:
        frames = len(self.au_intensity)
        shapes = (self.au_intensity.shape, self.gaze.shape, self.pose.shape)
        if shapes != ((frames, len(AUS)), (frames, 2), (frames, 6)):
            raise ValueError(f"expected shapes (T, {len(AUS)}), (T, 2), (T, 6); got {shapes}")


def column(au: int) -> int:
    """Column of an AU in ``au_intensity``."""
    return AUS.index(au)


def occurrence(au_intensity: Floats, speaking: bool) -> NDArray[np.int8]:
    """The binary labels of the embedded world, the one place that defines them.

    An AU occurs at intensity >= 2 (FACS B, the convention of the DISFA protocol). AU25 of a speaker occurs at
    intensity >= 1: parted lips are plain to see at A, and phones part them no wider.

    Args:
        au_intensity: (..., A), 0..5.
        speaking: whether the clip is of a person who talks.
    """
    present = au_intensity >= PRESENT
    if speaking:
        present[..., column(25)] = au_intensity[..., column(25)] >= 1.0
    return present.astype(np.int8)


def base_rates(task: str) -> Array:
    """(K,) share of frames in which each AU of ``COPULA_AUS`` is active.

    Args:
        task: "T1".."T8", or "speech".
    """
    return np.array(_RATES_PERCENT[task]) / 100.0


def pooled_rates() -> Array:
    """(K,) base rates over the eight tasks in equal shares."""
    return np.array(np.mean([base_rates(task) for task in TASKS], axis=0))


def _tetrachoric(phi: Array, rate_i: Array, rate_j: Array) -> Array:
    """Correlation of two standard normals whose thresholded values have the phi coefficient asked for.

    P(both active) = P_i P_j + the integral of the bivariate normal density over the correlation (Plackett 1954),
    inverted by bisection. All arguments and the result: (N,).
    """
    u, v = ndtri(1 - rate_i), ndtri(1 - rate_j)
    target = phi * np.sqrt(rate_i * (1 - rate_i) * rate_j * (1 - rate_j))
    nodes, weights = np.polynomial.legendre.leggauss(32)
    low, high = np.full_like(phi, -0.99), np.full_like(phi, 0.99)
    for _ in range(40):
        rho = (low + high) / 2
        r = rho[:, None] * (nodes + 1) / 2
        exponent = -(u[:, None] ** 2 - 2 * r * u[:, None] * v[:, None] + v[:, None] ** 2) / (2 * (1 - r**2))
        excess = (np.exp(exponent) / (2 * np.pi * np.sqrt(1 - r**2)) * weights).sum(axis=1) * rho / 2
        low, high = np.where(excess < target, rho, low), np.where(excess < target, high, rho)
    return (low + high) / 2


def _correlation(matrix: Array, floor: float = 0.02) -> Array:
    """The nearest usable correlation matrix: eigenvalues clipped at ``floor``, diagonal renormalised to 1."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    clipped = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = np.sqrt(np.diag(clipped))
    return np.array(clipped / np.outer(scale, scale))


@cache
def latent_correlation() -> Array:
    """(K, K) correlation of the latent values over all people and tasks that gives the published phi."""
    rates = pooled_rates()
    sigma = np.eye(len(COPULA_AUS))
    pairs = np.array([(COPULA_AUS.index(i), COPULA_AUS.index(j)) for i, j in _PHI])
    rho = _tetrachoric(np.array(list(_PHI.values())), rates[pairs[:, 0]], rates[pairs[:, 1]])
    sigma[pairs[:, 0], pairs[:, 1]] = sigma[pairs[:, 1], pairs[:, 0]] = rho
    return _correlation(sigma)


@cache
def _within_clip_correlation() -> Array:
    """(K, K) correlation inside a clip: what tasks and people do not already explain (law of total covariance)."""
    thresholds = np.stack([_thresholds(task) for task in TASKS])
    between_tasks = np.cov(thresholds, rowvar=False, bias=True)
    between_people = HABIT_SD**2 * latent_correlation()
    scale = np.sqrt(1 + HABIT_SD**2 + np.diag(between_tasks))
    total = latent_correlation() * np.outer(scale, scale)
    return _correlation(total - between_tasks - between_people)


def _thresholds(task: str) -> Array:
    """(K,) thresholds on the latent values of an average person; the factor keeps the mean rate over people."""
    return np.array(ndtri(1 - base_rates(task)) * np.sqrt(1 + HABIT_SD**2))


@cache
def _poles() -> Array:
    """(K,) double pole of each AU's autoregression at 25 fps, from the mean run length by Rice's formula.

    The continuous two-pole process has the correlation (1 + a t) exp(-a t), thus -R''(0) = a^2, and crosses its
    threshold u upwards a / (2 pi) exp(-u^2 / 2) times a frame; mean run = rate / that.
    """
    rates = pooled_rates()
    runs = np.array([_MEAN_RUN_FRAMES[au] for au in COPULA_AUS])
    return np.array(np.exp(-2 * np.pi * rates * np.exp(ndtri(1 - rates) ** 2 / 2) / runs))


def habits(rng: np.random.Generator) -> Array:
    """(K,) a person's lasting inclination to each AU, in latent standard deviations; correlated like the AUs."""
    return np.array(HABIT_SD * np.linalg.cholesky(latent_correlation()) @ rng.standard_normal(len(COPULA_AUS)))


def _latent(n_frames: int, fps: float, rng: np.random.Generator) -> Array:
    """(T, K) stationary Gaussian processes of unit variance with the correlation inside a clip."""
    poles = _poles() ** (FPS / fps)
    q = np.outer(poles, poles)
    gain = (1 + q) / (1 - q) ** 3
    innovations = _within_clip_correlation() / gain
    scale = np.sqrt(np.diag(innovations))
    root = np.linalg.cholesky(_correlation(innovations / np.outer(scale, scale))) * scale[:, None]
    settle = int(6 / (1 - poles.max()))
    noise = rng.standard_normal((settle + n_frames, len(COPULA_AUS))) @ root.T
    columns = [lfilter([1.0], [1.0, -2 * p, p * p], noise[:, k]) for k, p in enumerate(poles)]
    return np.stack(columns, axis=1)[settle:]


def _onset_apex_offset(target: Array, fps: float, onset_s: float = 0.10, offset_s: float = 0.16) -> Array:
    """Follow a target that jumps as a muscle would: two first-order lags, faster on the way up.

    Args:
        target: (T, ...).
        fps: frames per second.
        onset_s: time constant of each lag on the way up; the rise to 90 % takes about 4 of them.
        offset_s: the same on the way down.
    """
    up, down = 1 - np.exp(-1 / (fps * onset_s)), 1 - np.exp(-1 / (fps * offset_s))
    first, second = target[0].copy(), target[0].copy()
    followed = np.empty_like(target)
    for t, goal in enumerate(target):
        first += (goal - first) * np.where(goal > first, up, down)
        second += (first - second) * np.where(first > second, up, down)
        followed[t] = second
    return followed


def expression(
    task: str, habit: Array, n_frames: int, rng: np.random.Generator, fps: float = FPS, settle_s: float = 2.0
) -> Floats:
    """(T, A) spontaneous action units of a task, without blinks.

    An active AU has intensity 2.5 + 1.5 x its excess over the threshold, up to 5; an inactive one shows traces up to
    0.9 just below the threshold. Between both runs a smooth onset or offset.

    Args:
        task: "T1".."T8", or "speech".
        habit: (K,) from `habits`.
        n_frames: T.
        rng: the clip's generator.
        fps: frames per second.
        settle_s: seconds played before the first frame, so that a clip may begin inside an onset.
    """
    before = int(settle_s * fps)
    margin = _latent(n_frames + before, fps, rng) + habit - _thresholds(task)
    target = np.where(margin > 0, np.minimum(2.5 + 1.5 * margin, 5.0), np.clip(0.9 + 0.9 * margin, 0.0, 0.9))
    followed = _onset_apex_offset(target, fps)[before:]
    intensity = np.zeros((n_frames, len(AUS)), np.float32)
    intensity[:, [column(au) for au in COPULA_AUS]] = followed
    return _anatomically_possible(intensity)


def _anatomically_possible(intensity: Floats) -> Floats:
    """Pressed or sucked-in lips (24, 28) are not parted (25, 26, 27), and a stretched mouth (27) is parted (25)."""
    possible = intensity.copy()
    sealed = np.clip(1.5 - np.maximum(intensity[:, column(24)], intensity[:, column(28)]), 0.0, 1.0)
    for au in (25, 26, 27):
        possible[:, column(au)] *= sealed
    possible[:, column(25)] = np.maximum(possible[:, column(25)], possible[:, column(27)])
    return possible


def emotional_expression(emotion: str, n_frames: int, rng: np.random.Generator, fps: float = FPS) -> Floats:
    """(T, A) an acted emotion: the prototype's AUs with personal choice, rising at the start, then waxing and waning.

    Args:
        emotion: one of ``tables.EMOTIONS``.
        n_frames: T.
        rng: the clip's generator.
        fps: frames per second.
    """
    intensity = np.zeros((n_frames, len(AUS)), np.float32)
    strength = rng.uniform(0.75, 1.1)
    for au, share in PROTOTYPES[emotion].items():
        used, apex = rng.random() < share, rng.uniform(2.6, 4.6)
        wave = 1 + 0.15 * smooth_noise(n_frames, 0.8, rng, fps)
        if used:
            intensity[:, column(au)] = np.clip(strength * apex * wave, 0.0, 5.0)
    rise = np.clip((np.arange(n_frames) / fps + rng.uniform(0.1, 0.5)) / 0.6, 0.0, 1.0)
    intensity *= (rise * rise * (3 - 2 * rise))[:, None].astype(np.float32)
    return _anatomically_possible(intensity)


def posed_expression(emotion: str, rng: np.random.Generator) -> Floats:
    """(1, A) the apex of an acted emotion, as for a photograph; how strong it is differs from picture to picture.

    Args:
        emotion: one of ``tables.EMOTIONS``.
        rng: the picture's generator.
    """
    long_enough = round(2.0 * FPS)
    return emotional_expression(emotion, long_enough, rng)[-1:]


def add_speech(expressed: Floats, visemes: Floats) -> Floats:
    """(T, A) an expression while its owner talks.

    The articulators follow the visemes alone; of the expression those AUs fade that would open lips which a /p b m/
    holds closed; the rest adds up, at most 5.

    Args:
        expressed: (T, A) from `expression` or `emotional_expression`.
        visemes: (T, A) from ``visemes``.

    Raises:
        ValueError: the shapes differ.
    """
    if expressed.shape != visemes.shape:
        raise ValueError(f"expression {expressed.shape} and visemes {visemes.shape} must have the same shape")
    spoken = expressed.copy()
    spoken[:, [column(au) for au in ARTICULATORS]] = 0.0
    gate = np.clip(visemes[:, column(25)], 0.0, 1.0)
    spoken[:, [column(au) for au in OPENERS]] *= gate[:, None]
    spoken[:, column(12)] *= 0.6 + 0.4 * gate
    return np.asarray(np.clip(spoken + visemes, 0.0, 5.0), np.float32)


def smooth_noise(n_frames: int, seconds: float, rng: np.random.Generator, fps: float = FPS, size: int = 1) -> Array:
    """Unit-variance Gaussian noise that forgets itself in about ``seconds``; (T,), or (T, size) where size > 1."""
    pole = np.exp(-1.0 / (fps * seconds))
    settle = int(8 * fps * seconds) + 1
    noise = lfilter([1.0], [1.0, -2 * pole, pole**2], rng.standard_normal((settle + n_frames, size)), axis=0)
    noise *= np.sqrt((1 - pole**2) ** 3 / (1 + pole**2))
    return np.array(noise[settle:, 0] if size == 1 else noise[settle:])


def blinks(n_frames: int, rng: np.random.Generator, fps: float = FPS, mean_interval_s: float = 3.5) -> Floats:
    """(T,) intensity of AU43: blinks of about 0.3 s, closing twice as fast as opening, at log-normal intervals.

    Args:
        n_frames: T.
        rng: the clip's generator.
        fps: frames per second.
        mean_interval_s: mean time between two blinks (17 a minute at rest: 3.5 s).
    """
    seconds = (np.arange(n_frames) + 0.5) / fps
    closed = np.zeros(n_frames)
    at = rng.uniform(-mean_interval_s, mean_interval_s)
    while at < seconds[-1] + 0.5:
        length = rng.uniform(0.24, 0.36)
        phase = (seconds - at) / length
        closing, opening = (phase + 0.33) / 0.33, (0.67 - phase) / 0.67
        closed = np.maximum(closed, np.clip(1.25 * np.minimum(closing, opening), 0.0, 1.0))
        at += rng.lognormal(np.log(mean_interval_s) - 0.18, 0.6) + 0.3
    return np.asarray(5.0 * closed, np.float32)


def gaze(n_frames: int, rng: np.random.Generator, fps: float = FPS) -> Floats:
    """(T, 2) yaw and pitch of the eyes: fixations of 0.3 to 2 s near the camera, saccades of one or two frames."""
    directions = np.zeros((n_frames, 2))
    at, here = 0, rng.normal(0.0, [0.08, 0.04])
    while at < n_frames:
        stay = max(2, int(fps * min(0.3 + rng.exponential(0.6), 2.5)))
        directions[at : at + stay] = here
        at += stay
        back_to_camera = rng.random() < 0.4
        here = rng.normal(0.0, [0.02, 0.015]) if back_to_camera else rng.normal(0.0, [0.13, 0.06])
    kernel = np.array([0.25, 0.5, 0.25])
    padded = np.pad(directions, ((1, 1), (0, 0)), mode="edge")
    moved = np.stack([np.convolve(padded[:, i], kernel, mode="valid") for i in range(2)], axis=1)
    return (moved + rng.normal(0.0, 0.004, moved.shape)).astype(np.float32)


def head_pose(
    n_frames: int,
    rng: np.random.Generator,
    fps: float = FPS,
    turned_rad: float = 0.16,
    lively: float = 1.0,
) -> Floats:
    """(T, 6) pose: a direction held through the clip plus slow movement; pitch, yaw, roll (rad), x, y, z (cm).

    Args:
        n_frames: T.
        rng: the clip's generator.
        fps: frames per second.
        turned_rad: standard deviation of the clip's mean yaw; pitch has half, roll a third of it.
        lively: factor on the movement within the clip.
    """
    held = rng.normal(0.0, turned_rad * np.array([0.5, 1.0, 0.33])).clip(-0.8, 0.8)
    turning = smooth_noise(n_frames, 0.35, rng, fps, size=3) * lively * np.array([0.035, 0.05, 0.025])
    shifting = smooth_noise(n_frames, 0.8, rng, fps, size=3) * lively * np.array([0.25, 0.15, 0.3])
    placed = rng.normal(0.0, [0.5, 0.4, 1.5])
    return np.concatenate([held + turning, placed + shifting], axis=1).astype(np.float32)
