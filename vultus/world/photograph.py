"""From light to bytes: lens, exposure, tone curve and noise, as a camera has them.

Other domains than ``photo`` are made in `styles`, which redraws the developed picture with the help of the part mask.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.scene import Scene
from vultus.world.styles import restyle

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

BRIGHTEST = 2.5
"""Square root of the light at which a sensor is full."""


def develop(light: Floats, mask: Bytes, scene: Scene, number: int) -> Bytes:
    """The picture that the scene's camera records, in the scene's style.

    Args:
        light: (H, W, 3) linear light.
        mask: (H, W) part codes.
        scene: sensor, style and seed.
        number: of the frame; noise differs between frames.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    sensor = scene.sensor
    rng = np.random.default_rng([scene.seed, number])
    if sensor.blur_px > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), sensor.blur_px, borderType=cv2.BORDER_REFLECT).astype(np.float32)
    balance = np.array([1 + 0.10 * sensor.warmth, 1.0, 1 - 0.12 * sensor.warmth], np.float32)
    light = (
        light
        * (balance * np.float32(sensor.exposure))
        * vignette(light.shape[0], light.shape[1], sensor.vignette)[..., None]
    )
    if scene.style == "photo":
        picture = grain(tone_curve(light), sensor.noise, rng)
    else:
        picture = restyle(light, tone_curve(light), mask, scene.style, np.random.default_rng(scene.seed), rng)
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def vignette(height: int, width: int, loss: float) -> Floats:
    """(H, W) share of the light that arrives; `loss` is missing in the corners."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    return (1 - loss * 0.5 * (x**2 + y**2)).astype(np.float32)


def grain(picture: Floats, noise: float, rng: np.random.Generator) -> Floats:
    """Add sensor noise of standard deviation `noise` at middle grey; it grows with the signal."""
    if noise <= 0:
        return picture
    strength = np.float32(noise) * np.sqrt(0.4 + 1.2 * picture)
    return np.asarray(picture + strength * rng.standard_normal(picture.shape, np.float32), np.float32)


def tone_curve(light: Floats) -> Floats:
    """Linear light -> display values 0..1: gamma 2.2, with a shoulder in which highlights roll off."""
    root = np.sqrt(np.clip(light, 0, BRIGHTEST**2))
    return _TONES[np.rint(root * np.float32((len(_TONES) - 1) / BRIGHTEST)).astype(np.int32)]


def _tone_table(size: int) -> Floats:
    """Display value over the square root of the light, 0..BRIGHTEST, where the curve is nearly straight."""
    light = np.linspace(0, BRIGHTEST, size) ** 2
    knee = 0.75
    over = np.maximum(light - knee, 0) / (1 - knee)
    squeezed = np.where(light > knee, knee + (1 - knee) * (1 - np.exp(-over)), light)
    return np.asarray(squeezed ** (1 / 2.2), np.float32)


_TONES = _tone_table(8192)
