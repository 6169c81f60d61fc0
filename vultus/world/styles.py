"""Rendering styles as domains: each redraws the developed photograph, so labels stay exact and only the looks change.

Sizes of strokes and blurs are shares of the picture's height, so that a style looks alike at every resolution.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.scene import Style
from vultus.world.shading import BACKGROUND, EAR, EYELID, GLASSES, HAIR, LOCK, MASK, MOUTH, SCLERA, SHOULDERS, TONGUE

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_WARMTH = {BACKGROUND: 0.12, HAIR: 0.42, LOCK: 0.42, SHOULDERS: 0.40, GLASSES: 0.22, MASK: 0.50, EAR: 0.56,
           SCLERA: 0.86, EYELID: 0.88, MOUTH: 0.92, TONGUE: 0.92}  # fmt: skip
"""Part -> temperature on a scale where bare skin is 0.68."""

_IRONBOW = np.array([
    (0.0, 0.0, 0.05), (0.18, 0.0, 0.45), (0.55, 0.0, 0.60), (0.85, 0.18, 0.35), (0.97, 0.48, 0.08), (1.0, 0.78, 0.10),
    (1.0, 0.98, 0.80),
], np.float32)  # fmt: skip
"""Colours of a thermal camera, cold to hot, evenly spaced."""


def restyle(
    light: Floats, picture: Floats, mask: Bytes, style: Style, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """Redraw a picture.

    Args:
        light: (H, W, 3) linear light.
        picture: (H, W, 3) the same after the tone curve, 0..1.
        mask: (H, W) part codes.
        style: one of `scene.STYLES` but ``photo``.
        fixed: what stays the same during a clip (paper, canvas).
        moving: what differs between frames (noise).

    Returns:
        (H, W, 3), about 0..1.
    """
    return _STYLES[style](light, picture, mask, fixed, moving)


def _blur(image: Floats, share: float) -> Floats:
    """Gaussian blur; the standard deviation is a share of the picture's height."""
    sigma = max(share * image.shape[0], 0.3)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _grey(picture: Floats) -> Floats:
    return (picture @ LUMA).astype(np.float32)


def _outline(grey: Floats, mask: Bytes) -> Floats:
    """(H, W) 0..1: dark lines of the face and borders between parts."""
    lines = np.clip((_blur(grey, 0.016) - _blur(grey, 0.006)) * 11 - 0.12, 0, 1)
    solid = np.where(mask == EYELID, 0, mask).astype(np.float32)
    border = (cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0).astype(np.float32)
    return np.asarray(np.maximum(lines, 0.8 * _blur(border, 0.003)), np.float32)


def _cartoon(
    light: Floats, picture: Floats, mask: Bytes, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """Flat tones, strong colours, ink lines."""
    smooth = picture
    for _ in range(2):
        smooth = cv2.bilateralFilter(smooth, -1, 0.12, 0.022 * picture.shape[0]).astype(np.float32)
    grey = _grey(smooth)
    steps = 5.0
    level = np.floor(grey * steps) + 0.5
    # A short ramp between two tones instead of a staircase of pixels.
    ramp = np.clip((grey * steps - np.floor(grey * steps) - 0.85) / 0.15, 0, 1)
    flat = (level + ramp) / steps
    toned = smooth * (flat / np.maximum(grey, 0.02))[..., None]
    vivid = _grey(toned)[..., None] + 1.45 * (toned - _grey(toned)[..., None])
    ink = _outline(_grey(picture), mask)[..., None]
    return np.asarray(vivid * (1 - 0.92 * ink), np.float32)


def _sketch(
    light: Floats, picture: Floats, mask: Bytes, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """Pencil on paper: lines where the tone changes, hatching where it is dark."""
    height, width = mask.shape
    grey = np.where(mask == BACKGROUND, 0.25 * _grey(picture) + 0.7, _grey(picture)).astype(np.float32)
    dodged = np.clip(grey / np.maximum(_blur(grey, 0.03), 0.02), 0, 1.05)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    wobble = _blur(fixed.standard_normal((height, width)).astype(np.float32), 0.03) * 0.6
    hatch = 0.5 + 0.5 * np.sin(2 * np.pi * (38 * (x + y) + wobble))
    dark = np.clip(0.62 - grey, 0, 1)
    paper = 0.94 + 0.025 * fixed.standard_normal((height, width)).astype(np.float32)
    pencil = dodged**2.2 * (1 - 0.9 * dark * hatch) * (1 - 0.35 * dark)
    pencil *= 1 - 0.7 * _outline(grey, mask)
    drawn = np.clip(pencil, 0.08, 1) * paper
    return np.asarray(drawn[..., None] * np.array([1.0, 0.985, 0.95], np.float32), np.float32)


def _infrared(
    light: Floats, picture: Floats, mask: Bytes, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """A near-infrared camera with its own lamp: pale smooth skin, dark eyes, bright middle, grain."""
    height, width = mask.shape
    near = light @ np.array([0.85, 0.15, 0.0], np.float32)
    near = np.where(np.isin(mask, (BACKGROUND, SHOULDERS)), near * 0.6 + 0.03, near)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    lamp = 0.35 + 0.95 * np.exp(-1.1 * (x**2 + y**2))
    glow = _blur((near * lamp).astype(np.float32), 0.008)
    tone = 1 - np.exp(-1.9 * np.clip(glow, 0, None) ** 0.8)
    noisy = tone + 0.028 * moving.standard_normal((height, width)).astype(np.float32)
    return np.repeat(noisy[..., None], 3, 2).astype(np.float32)


def _lowlight(
    light: Floats, picture: Floats, mask: Bytes, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """A phone at night: little light, gain, colour noise, denoised to smears, a cold cast."""
    photons = 70.0
    dim = np.maximum(light * np.array([0.72, 0.80, 1.0], np.float32), 0) * np.float32(0.22)
    counted = moving.normal(dim * photons, np.sqrt(dim * photons + 0.6)).astype(np.float32) / np.float32(photons)
    smeared = 0.35 * counted + 0.65 * _blur(counted, 0.011)
    return np.power(np.clip(smeared * 1.5, 0, 1), np.float32(1 / 2.0)).astype(np.float32)


def _oil(
    light: Floats, picture: Floats, mask: Bytes, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """Oil on canvas: a Kuwahara filter (M. Kuwahara et al. 1976) for the dabs, warm varnish, the canvas's weave."""
    radius = max(1, round(0.016 * mask.shape[0]))
    size = radius + 1
    best = np.full(mask.shape, np.inf, np.float32)
    painted = picture.copy()
    squares = picture**2
    for anchor in ((0, 0), (radius, 0), (0, radius), (radius, radius)):
        mean = cv2.boxFilter(picture, -1, (size, size), anchor=anchor, borderType=cv2.BORDER_REFLECT)
        square = cv2.boxFilter(squares, -1, (size, size), anchor=anchor, borderType=cv2.BORDER_REFLECT)
        variance = (square - mean**2).sum(2)
        better = variance < best
        best = np.where(better, variance, best)
        painted = np.where(better[..., None], mean, painted)
    height, width = mask.shape
    y, x = np.mgrid[0:height, 0:width]
    weave = 0.5 * (np.sin(x * np.pi * 0.9) + np.sin(y * np.pi * 0.9)) + 0.4 * fixed.standard_normal((height, width))
    rich = _grey(painted)[..., None] + 1.25 * (painted - _grey(painted)[..., None])
    varnish = np.array([1.04, 0.98, 0.84], np.float32)
    return np.asarray((rich**1.08) * varnish * (1 + 0.025 * weave[..., None]), np.float32)


def _thermal(
    light: Floats, picture: Floats, mask: Bytes, fixed: np.random.Generator, moving: np.random.Generator
) -> Floats:
    """A thermal camera: heat by body part, a trace of relief, coarse optics, false colours."""
    table = np.full(256, 0.68, np.float32)
    for part, heat in _WARMTH.items():
        table[part] = heat
    grey = _grey(picture)
    detail = grey / np.maximum(_blur(grey, 0.06), 0.03) - 1
    heat = table[mask] + np.where(mask == BACKGROUND, 0.0, 0.55) * np.clip(detail, -0.5, 0.25)
    seen = _blur(heat.astype(np.float32), 0.009) + 0.008 * moving.standard_normal(mask.shape).astype(np.float32)
    position = np.clip(seen, 0, 1) * (len(_IRONBOW) - 1)
    lower = np.minimum(position.astype(int), len(_IRONBOW) - 2)
    share = (position - lower)[..., None]
    return np.asarray(_IRONBOW[lower] * (1 - share) + _IRONBOW[lower + 1] * share, np.float32)


_STYLES: dict[Style, Callable[[Floats, Floats, Bytes, np.random.Generator, np.random.Generator], Floats]] = {
    "cartoon": _cartoon,
    "sketch": _sketch,
    "infrared": _infrared,
    "lowlight": _lowlight,
    "oil": _oil,
    "thermal": _thermal,
}
