"""Phones -> mid-sagittal tongue and lips -> ultrasound-like and lip pictures, for silent speech.

Ten articulatory parameters in 0..1 with targets for each phone, blended by dominance functions with a time constant for
each parameter; a contour of the tongue's surface; pictures as an ultrasound probe under the chin and a small camera
before the lips would give. A reconstruction: no speaker's data stand behind the numbers.
"""

from __future__ import annotations

import numpy as np

from vultus.world.coarticulation import dominance_weights
from vultus.world.phones import SILENCE
from vultus.world.speech import Utterance, constriction_s

TONGUE_PARAMETERS = (
    "dorsum_place", "dorsum_height", "tip_height", "tip_advance", "root_advance", "jaw_opening",
    "lip_aperture", "lip_width", "lip_protrusion", "labiodental",
)  # fmt: skip
"""Columns of the (N, 10) parameters; dorsum_place runs from 0, the pharynx, to 1, the alveolar ridge."""

N_COLUMNS = 40
"""Points of a contour and columns of an ultrasound picture, from root to front."""
ULTRASOUND_SHAPE = (32, N_COLUMNS)
LIP_SHAPE = (24, 32)

_THETA_S = np.array([0.045, 0.045, 0.028, 0.028, 0.060, 0.055, 0.035, 0.050, 0.060, 0.030])
_ARTICULATORS = ("body", "body", "tip", "tip", "body", "jaw", "lips", "lips", "lips", "lips")
"""Articulator of each parameter, for the dominances."""

_P, _F, _TH, _T, _S, _SH, _L, _R, _K, _W, _Y = (
    (0.45, 0.50, 0.32, 0.60, 0.45, 0.12, 0.00, 0.50, 0.10, 0.0),
    (0.45, 0.50, 0.32, 0.60, 0.45, 0.15, 0.12, 0.55, 0.05, 1.0),
    (0.50, 0.45, 0.72, 1.00, 0.45, 0.20, 0.35, 0.55, 0.10, 0.0),
    (0.50, 0.50, 1.00, 0.85, 0.45, 0.12, 0.30, 0.55, 0.10, 0.0),
    (0.55, 0.50, 0.88, 0.88, 0.50, 0.08, 0.25, 0.65, 0.10, 0.0),
    (0.70, 0.70, 0.80, 0.72, 0.55, 0.10, 0.40, 0.30, 0.75, 0.0),
    (0.30, 0.35, 1.00, 0.85, 0.30, 0.20, 0.35, 0.55, 0.10, 0.0),
    (0.45, 0.55, 0.75, 0.60, 0.20, 0.20, 0.30, 0.35, 0.50, 0.0),
    (0.42, 1.00, 0.25, 0.55, 0.40, 0.20, 0.35, 0.55, 0.10, 0.0),
    (0.20, 0.85, 0.25, 0.50, 0.50, 0.15, 0.12, 0.10, 0.90, 0.0),
    (0.75, 0.97, 0.45, 0.75, 0.90, 0.10, 0.30, 0.80, 0.05, 0.0),
)
TARGETS: dict[str, tuple[float, ...]] = {
    "IY": (0.75, 0.95, 0.45, 0.75, 0.90, 0.10, 0.30, 0.85, 0.05, 0.0),
    "IY_unstressed": (0.72, 0.90, 0.44, 0.74, 0.85, 0.12, 0.30, 0.80, 0.05, 0.0),
    "IH": (0.68, 0.78, 0.42, 0.70, 0.70, 0.20, 0.35, 0.70, 0.10, 0.0),
    "EH": (0.60, 0.55, 0.38, 0.68, 0.50, 0.45, 0.55, 0.65, 0.10, 0.0),
    "AE": (0.55, 0.35, 0.35, 0.68, 0.40, 0.65, 0.75, 0.65, 0.05, 0.0),
    "AA": (0.25, 0.26, 0.25, 0.55, 0.10, 0.74, 0.82, 0.50, 0.12, 0.0),
    "AO": (0.20, 0.40, 0.20, 0.50, 0.15, 0.55, 0.60, 0.30, 0.55, 0.0),
    "OW_onset": (0.18, 0.55, 0.20, 0.48, 0.25, 0.40, 0.50, 0.25, 0.65, 0.0),
    "UH": (0.25, 0.70, 0.25, 0.50, 0.45, 0.25, 0.30, 0.25, 0.65, 0.0),
    "UW": (0.28, 0.85, 0.25, 0.50, 0.60, 0.15, 0.20, 0.15, 0.85, 0.0),
    "AH": (0.40, 0.42, 0.30, 0.58, 0.30, 0.45, 0.55, 0.50, 0.10, 0.0),
    "AX": (0.45, 0.50, 0.32, 0.60, 0.45, 0.30, 0.40, 0.50, 0.15, 0.0),
    **dict.fromkeys(("ER", "AXR"), (0.50, 0.60, 0.55, 0.55, 0.30, 0.25, 0.35, 0.35, 0.45, 0.0)),
    **dict.fromkeys(("P", "B", "M"), _P),
    **dict.fromkeys(("F", "V"), _F),
    **dict.fromkeys(("TH", "DH"), _TH),
    **dict.fromkeys(("T", "D", "N", "DX"), _T),
    **dict.fromkeys(("S", "Z"), _S),
    **dict.fromkeys(("SH", "ZH", "CH", "JH"), _SH),
    "L": _L,
    "R": _R,
    **dict.fromkeys(("K", "G", "NG"), _K),
    "W": _W,
    "Y": _Y,
    "HH": (0.45, 0.50, 0.32, 0.60, 0.45, 0.30, 0.40, 0.50, 0.15, 0.0),
    SILENCE: (0.45, 0.50, 0.35, 0.62, 0.40, 0.05, 0.02, 0.50, 0.10, 0.0),
}
"""Articulatory target of each sound, in the order of `TONGUE_PARAMETERS`."""

_DIPHTHONGS = {
    "EY": ("EH", "IH"),
    "AY": ("AA", "IH"),
    "AW": ("AA", "UH"),
    "OY": ("AO", "IH"),
    "OW": ("OW_onset", "UH"),
}
_LIP_SOUNDS = frozenset({"P", "B", "M", "F", "V"})
_TIP_SOUNDS = frozenset({"T", "D", "N", "DX", "TH", "DH", "S", "Z", "L"})
_BODY_SOUNDS = frozenset({"K", "G", "NG"})
_STRONG_SOUNDS = frozenset({"SH", "ZH", "CH", "JH", "R", "W", "Y"})


def tongue_parameters(utterance: Utterance, fps: float, n_frames: int) -> np.ndarray:
    """Articulation at the centres of the video frames.

    Args:
        utterance: the phones; beyond its end the tongue rests.
        fps: frame rate in Hz (60 for silent speech).
        n_frames: number of frames.

    Returns:
        (N, 10) float32 in 0..1, columns `TONGUE_PARAMETERS`.
    """
    times_s = (np.arange(n_frames) + 0.5) / fps
    sounds, start_s, end_s = [SILENCE], [-1.0], [0.0]
    for phone in utterance.phones:
        start, end = constriction_s(phone)
        own = "IY_unstressed" if phone.arpa == "IY" and phone.stress == 0 else phone.arpa
        parts = _DIPHTHONGS.get(phone.arpa, (own,))
        for i, part in enumerate(parts):
            sounds.append(part)
            start_s.append(start + i * (end - start) / len(parts))
            end_s.append(start + (i + 1) * (end - start) / len(parts))
    sounds.append(SILENCE)
    start_s.append(utterance.duration_s)
    end_s.append(max(utterance.duration_s, n_frames / fps) + 1.0)
    weight = dominance_weights(
        times_s,
        np.array(start_s),
        np.array(end_s),
        np.array([_dominance(sound) for sound in sounds]),
        _THETA_S,
        _THETA_S,
    )
    target = np.array([TARGETS[sound] for sound in sounds])
    parameters: np.ndarray = np.einsum("npg,pg->ng", weight, target).astype(np.float32)
    return parameters


def _dominance(sound: str) -> list[float]:
    if sound == "HH":
        return [0.02] * len(_ARTICULATORS)
    if sound == "AX":
        return [0.5] * len(_ARTICULATORS)
    if sound == SILENCE:
        return [0.6] * len(_ARTICULATORS)
    if sound in _STRONG_SOUNDS:
        return [2.5] * len(_ARTICULATORS)
    if sound in _LIP_SOUNDS:
        of = {"body": 0.05, "tip": 0.05, "jaw": 0.5, "lips": 5.0}
    elif sound in _TIP_SOUNDS:
        of = {"body": 0.25, "tip": 5.0, "jaw": 0.2, "lips": 0.15}
    elif sound in _BODY_SOUNDS:
        of = {"body": 5.0, "tip": 0.2, "jaw": 0.2, "lips": 0.1}
    else:
        of = {"body": 1.0, "tip": 1.0, "jaw": 1.0, "lips": 1.0}
    return [of[articulator] for articulator in _ARTICULATORS]


def tongue_contour(parameters: np.ndarray, shift_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Surface of the tongue in the mid-sagittal plane.

    Args:
        parameters: (N, 10).
        shift_px: how many columns the tongue lies further to the front.

    Returns:
        height (N, 40) from root to front, about 0..1, and visibility (N, 40) in 0..1: the tip is lost in the shadow of
        the mandible.
    """
    place, height, tip_height, tip_advance, root, jaw = (parameters[:, i, None].astype(np.float64) for i in range(6))
    x = np.linspace(0.0, 1.0, N_COLUMNS) - shift_px / (N_COLUMNS - 1)
    dorsum = 0.5 * (height - 0.3) * np.exp(-(((x - 0.15 - 0.6 * place) / 0.22) ** 2))
    tip = 0.35 * (tip_height - 0.3) * np.exp(-(((x - 0.55 - 0.4 * tip_advance) / 0.10) ** 2))
    base = 0.12 * (root - 0.5) * np.exp(-((x / 0.25) ** 2))
    contour = 0.35 + dorsum + tip - 0.15 * jaw + base
    visible = 1.0 / (1.0 + np.exp((x - 0.60 - 0.42 * tip_advance) / 0.02))
    return contour, visible


def uneven(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The articulation as one utterance shows it: nobody moves equally far twice, and the pictures tremble.

    Args:
        parameters: (N, 10).
        rng: draws a gain 1 +- 0.08 and an offset 0 +- 0.03 of each parameter for the utterance, and a jitter 0.02 of
            each frame (standard deviations).

    Returns:
        (N, 10) float32 in 0..1.
    """
    n_parameters = parameters.shape[1]
    gain, offset = rng.normal(1.0, 0.08, n_parameters), rng.normal(0.0, 0.03, n_parameters)
    jitter = rng.normal(0.0, 0.02, parameters.shape)
    moved: np.ndarray = np.clip(parameters * gain + offset + jitter, 0.0, 1.0).astype(np.float32)
    return moved


def ultrasound_pictures(
    parameters: np.ndarray,
    rng: np.random.Generator,
    speckle: float = 0.35,
    shift_px: np.ndarray | tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Ultrasound-like pictures of the tongue: a bright surface in speckle.

    Args:
        parameters: (N, 10).
        rng: draws the speckle; the same generator state gives the same pictures.
        speckle: strength of the speckle: 0.35 clear, 0.8 hard.
        shift_px: how far the probe lies to the side and down, which moves the whole tongue in the picture.

    Returns:
        (N, 32, 40) float32 in 0..1; row 0 is the palate's side.
    """
    across, down = shift_px
    contour, visible = tongue_contour(parameters, float(across))
    row = np.arange(ULTRASOUND_SHAPE[0])[:, None]
    surface_row = 30.0 - 26.0 * np.clip(contour, 0.0, 1.0)[:, None, :] + float(down)
    shown = visible[:, None, :]
    band = np.exp(-(((row - surface_row) / 1.6) ** 2)) * shown
    tissue = 0.15 * (row > surface_row) * shown
    noise = rng.standard_normal((2, len(parameters), *ULTRASOUND_SHAPE))
    picture = (band + tissue) * (1.0 + speckle * noise[0]) + 0.08 * np.abs(noise[1])
    clipped: np.ndarray = np.clip(picture, 0.0, 1.0).astype(np.float32)
    return clipped


def lip_pictures(
    parameters: np.ndarray,
    rng: np.random.Generator,
    noise: float = 0.06,
    shift_px: np.ndarray | tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Frontal pictures of the lips: skin, lips, opening, teeth.

    Args:
        parameters: (N, 10).
        rng: draws the camera's noise.
        noise: its standard deviation, 0.06 clear .. 0.25 hard.
        shift_px: how far the camera lies to the side and down, which moves the mouth in the picture.

    Returns:
        (N, 24, 32) float32 in 0..1.
    """
    jaw, aperture, width, protrusion, labiodental = (
        parameters[:, i, None, None].astype(np.float64) for i in (5, 6, 7, 8, 9)
    )
    across, down = (float(shift) for shift in shift_px)
    y = (np.linspace(-1.0, 1.0, LIP_SHAPE[0]) - 2.0 * down / (LIP_SHAPE[0] - 1))[:, None]
    x = (np.linspace(-1.0, 1.0, LIP_SHAPE[1]) - 2.0 * across / (LIP_SHAPE[1] - 1))[None, :]
    half_width = 0.35 + 0.45 * width - 0.15 * protrusion
    half_height = 0.02 + 0.5 * aperture
    y = y - 0.10 * jaw
    outer = (x / (half_width + 0.12)) ** 2 + (y / (half_height + 0.16 + 0.12 * protrusion)) ** 2
    inner = (x / half_width) ** 2 + (y / half_height) ** 2

    def inside(radius_squared: np.ndarray) -> np.ndarray:
        """1 inside the ellipse, 0 outside, a soft edge of about a pixel."""
        soft: np.ndarray = np.clip((1.0 - np.sqrt(radius_squared)) / 0.12 + 0.5, 0.0, 1.0)
        return soft

    picture = np.full((len(parameters), *LIP_SHAPE), 0.6)
    lips, opening = inside(outer), inside(inner)
    picture = picture * (1 - lips) + (0.35 + 0.10 * protrusion) * lips
    picture = picture * (1 - opening) + 0.05 * opening
    teeth = opening * (aperture > 0.2) * (y > -0.75 * half_height) * (y < -0.75 * half_height + 0.16)
    picture = picture * (1 - teeth) + 0.85 * teeth
    contact = labiodental * inside(inner) * (np.abs(y) < 0.08)
    picture = picture * (1 - contact) + 0.8 * contact
    picture += noise * rng.standard_normal(picture.shape)
    clipped: np.ndarray = np.clip(picture, 0.0, 1.0).astype(np.float32)
    return clipped
