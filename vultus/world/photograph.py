"""From light to bytes: lens, exposure, tone curve, noise, and the styles that make other domains of a photograph."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vultus.world.scene import Scene

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


def develop(light: Floats, scene: Scene, number: int) -> Picture:
    """(H, W, 3) linear light -> (H, W, 3) uint8 sRGB, as the scene's sensor records frame `number`."""
    sensor = scene.sensor
    height, width = light.shape[:2]
    rng = np.random.default_rng([scene.seed, number])
    if sensor.blur_px > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), sensor.blur_px, borderType=cv2.BORDER_REFLECT)
    balance = np.array([1 + 0.10 * sensor.warmth, 1.0, 1 - 0.12 * sensor.warmth], np.float32) * sensor.exposure
    light = light * balance
    if sensor.vignette > 0:
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]  # type: ignore[misc]
        light = light * (1 - sensor.vignette * 0.5 * (x**2 + y**2))[..., None].astype(np.float32)
    picture = tone_curve(light)
    if sensor.noise > 0:
        grain = rng.standard_normal(picture.shape, np.float32)
        picture = picture + sensor.noise * np.sqrt(0.4 + 1.2 * picture) * grain
    return to_bytes(picture)


def tone_curve(light: Floats) -> Floats:
    """Linear light -> display values 0..1: sRGB's gamma with a shoulder that keeps highlights from clipping hard."""
    light = np.maximum(light, 0)
    knee = 0.75
    over = np.maximum(light - knee, 0)
    squeezed = np.where(light > knee, knee + (1 - knee) * (1 - np.exp(-over / (1 - knee))), light)
    display: Floats = np.power(squeezed, np.float32(1 / 2.2)).astype(np.float32)
    return display


def to_bytes(picture: Floats) -> Picture:
    """0..1 -> uint8."""
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
