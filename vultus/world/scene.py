"""What surrounds the face in a clip: camera, light, room, clothes, occluders, style and sensor, as plain data.

`random_scene` draws one. Drawing order is fixed and every part has a generator of its own, so a clip's light does not
change when, say, a new kind of glasses is added.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from vultus.world.camera import Camera, portrait_camera
from vultus.world.light import Colour, Light

Style = Literal["photo", "cartoon", "sketch", "infrared", "lowlight", "oil", "thermal"]
STYLES: tuple[Style, ...] = get_args(Style)
"""Rendering styles; each is a domain of its own. ``photo`` is the one that all others are derived from."""

OccluderKind = Literal["glasses", "hand", "mask", "lock"]
OCCLUDERS: tuple[OccluderKind, ...] = get_args(OccluderKind)
BackdropKind = Literal["plain", "gradient", "room", "outdoor", "pattern"]


@dataclass(frozen=True)
class Occluder:
    """Something in front of the face.

    kind: glasses and mask are worn; a lock of hair hangs from the hairline; a hand comes and goes.
    start, stop: share of the clip (0..1) in which it covers the face; a hand moves in and out at the ends.
    variant: 0..1, picks the shape among those of its kind (which glasses, where the hand touches, side of the lock).
    colour: linear albedo (a hand takes the person's skin, a lock the person's hair).
    """

    kind: OccluderKind
    start: float = 0.0
    stop: float = 1.0
    variant: float = 0.0
    colour: Colour = (0.05, 0.05, 0.06)


@dataclass(frozen=True)
class Backdrop:
    """kind, two main colours (linear), seed of what is in it, and blur as a share of the picture's height."""

    kind: BackdropKind = "gradient"
    near: Colour = (0.25, 0.27, 0.30)
    far: Colour = (0.45, 0.47, 0.50)
    blur: float = 0.03
    seed: int = 0


@dataclass(frozen=True)
class Sensor:
    """The camera's own marks.

    noise: standard deviation of the noise at middle grey, as a share of full scale; shot noise grows with the signal.
    blur_px: standard deviation of the lens blur in output pixels.
    exposure: factor on the light.
    warmth: -1 cool .. 1 warm white balance.
    vignette: loss of light in the corners, 0..1.
    """

    noise: float = 0.010
    blur_px: float = 0.35
    exposure: float = 1.0
    warmth: float = 0.0
    vignette: float = 0.08


@dataclass(frozen=True)
class Scene:
    """Everything of a clip that is not the person and not the performance.

    seed: of sensor noise; noise differs between frames and is the same on every run.
    """

    camera: Camera
    light: Light = field(default_factory=Light)
    backdrop: Backdrop = field(default_factory=Backdrop)
    shirt: Colour = (0.15, 0.18, 0.25)
    occluders: tuple[Occluder, ...] = ()
    style: Style = "photo"
    sensor: Sensor = field(default_factory=Sensor)
    seed: int = 0


def random_scene(
    rng: np.random.Generator,
    *,
    size_px: int = 128,
    style: Style = "photo",
    camera: Camera | None = None,
    occluder_rate: float = 0.2,
    glasses_rate: float = 0.15,
) -> Scene:
    """Draw a scene.

    Args:
        rng: the clip's generator; nothing else is random.
        size_px: side of the square picture, used where `camera` is not given.
        style: rendering style.
        camera: a fixed camera (multi-view recordings); a slightly varied portrait camera unless given.
        occluder_rate: probability of a hand, a medical mask or a lock of hair.
        glasses_rate: probability of glasses.
    """
    lens, lamp, room, dress, thing, chip = rng.spawn(6)
    return Scene(
        camera=camera or _random_camera(lens, size_px),
        light=_random_light(lamp),
        backdrop=_random_backdrop(room),
        shirt=_random_cloth(dress),
        occluders=_random_occluders(thing, occluder_rate, glasses_rate),
        style=style,
        sensor=_random_sensor(chip),
        seed=int(rng.integers(2**31)),
    )


def _random_camera(rng: np.random.Generator, size_px: int) -> Camera:
    return portrait_camera(
        size_px,
        distance_cm=float(rng.uniform(60, 110)),
        view_cm=float(rng.uniform(24, 29)),
        aim_cm=(float(rng.normal(0, 0.8)), float(rng.normal(-1.6, 0.6))),
    )


def _tint(rng: np.random.Generator, spread: float) -> Colour:
    """A white point: warm (tungsten) to cool (shade), with a trace of green or magenta."""
    warm = float(rng.normal(0, spread))
    green = float(rng.normal(0, spread * 0.2))
    return (1 + 0.55 * warm, 1 + 0.05 * warm + green, 1 - 0.75 * warm)


def _scaled(colour: Colour, factor: float) -> Colour:
    return (max(colour[0], 0.2) * factor, max(colour[1], 0.2) * factor, max(colour[2], 0.2) * factor)


def _random_light(rng: np.random.Generator) -> Light:
    across = float(rng.normal(0, 0.55))
    up = float(rng.uniform(0.05, 0.75))
    # The key gives the modelling, ambient light the rest; together a fair face is exposed well.
    hardness = float(rng.beta(2.0, 2.2))
    key = 0.45 + 0.75 * hardness
    ambient = 0.52 - 0.28 * hardness
    fill = float(rng.uniform(0.08, 0.28))
    sky = _scaled(_tint(rng, 0.10), ambient)
    bounce = float(rng.uniform(0.35, 0.75))
    return Light(
        key_direction=(float(np.sin(across) * np.cos(up)), float(np.sin(up)), float(np.cos(across) * np.cos(up))),
        key_colour=_scaled(_tint(rng, 0.10), key),
        fill_direction=(-0.7 * float(np.sign(across) or 1.0), float(rng.uniform(-0.1, 0.4)), 0.7),
        fill_colour=_scaled(_tint(rng, 0.08), fill),
        sky_colour=sky,
        ground_colour=_scaled(sky, bounce),
    )


def _random_colour(rng: np.random.Generator, low: float, high: float, saturation: float) -> Colour:
    grey = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    hue = rng.uniform(0, 2 * np.pi)
    colour = grey * (1 + saturation * np.cos(hue + np.array([0.0, 2.1, 4.2])))
    return (float(colour[0]), float(colour[1]), float(colour[2]))


def _random_backdrop(rng: np.random.Generator) -> Backdrop:
    kinds = get_args(BackdropKind)
    return Backdrop(
        kind=kinds[int(rng.choice(len(kinds), p=[0.15, 0.2, 0.4, 0.15, 0.1]))],
        near=_random_colour(rng, 0.05, 0.7, 0.18),
        far=_random_colour(rng, 0.08, 0.8, 0.18),
        blur=float(rng.uniform(0.005, 0.05)),
        seed=int(rng.integers(2**31)),
    )


def _random_cloth(rng: np.random.Generator) -> Colour:
    return _random_colour(rng, 0.02, 0.65, float(rng.uniform(0.0, 0.8)))


def _random_occluders(rng: np.random.Generator, occluder_rate: float, glasses_rate: float) -> tuple[Occluder, ...]:
    found = []
    glasses, other = rng.random(2)
    if glasses < glasses_rate:
        found.append(Occluder("glasses", variant=float(rng.random()), colour=_random_colour(rng, 0.01, 0.2, 0.5)))
    if other < occluder_rate:
        kind = OCCLUDERS[1 + int(rng.integers(3))]
        start = float(rng.uniform(0.0, 0.5)) if kind == "hand" else 0.0
        stop = min(1.0, start + float(rng.uniform(0.3, 0.6))) if kind == "hand" else 1.0
        colour = _random_colour(rng, 0.3, 0.85, 0.12) if kind == "mask" else (0.05, 0.05, 0.06)
        found.append(Occluder(kind, start, stop, float(rng.random()), colour))
    return tuple(found)


def _random_sensor(rng: np.random.Generator) -> Sensor:
    return Sensor(
        noise=float(rng.gamma(2.0, 0.005)),
        blur_px=float(rng.uniform(0.2, 0.7)),
        exposure=float(np.exp(rng.normal(0, 0.16))),
        warmth=float(rng.normal(0, 0.3)),
        vignette=float(rng.uniform(0, 0.25)),
    )
