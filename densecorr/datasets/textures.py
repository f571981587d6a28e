"""Procedural surface colour: noise, colours and cloth.

Colours are (N, 3) in [0, 1]. Positions are those of the rest template: they belong to a surface point, not to
a place in the world, so a pattern moves with the limb that wears it.
"""

import colorsys

import numpy as np
from jaxtyping import Float

LATTICE = 16  # cells of the periodic noise lattice along each axis


def noise(X: Float[np.ndarray, "N d"], cell: float, rng: np.random.Generator) -> Float[np.ndarray, " N"]:
    """Smooth value noise in [0, 1] at points in 2 or 3 dimensions; `cell` is its grain in the unit of X."""
    from scipy.ndimage import map_coordinates

    d = X.shape[1]
    lattice = rng.random((LATTICE,) * d, dtype=np.float32)
    q = X / cell + rng.random(d) * LATTICE
    base = np.floor(q)
    part = q - base
    q = base + part * part * (3.0 - 2.0 * part)
    return map_coordinates(lattice, q.T, order=1, mode="grid-wrap", output=np.float64)


def fractal_noise(
    X: Float[np.ndarray, "N d"], cell: float, rng: np.random.Generator, n_octaves: int = 3
) -> Float[np.ndarray, " N"]:
    """Octaves of `noise`, each half as coarse and half as strong; about [0, 1] with mean 0.5."""
    total, weight = np.zeros(len(X)), 0.0
    for octave in range(n_octaves):
        total += noise(X, cell / 2**octave, rng) / 2**octave
        weight += 1 / 2**octave
    return total / weight


def smoothstep(x: Float[np.ndarray, " N"], low: float, high: float) -> Float[np.ndarray, " N"]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(
    a: Float[np.ndarray, "*N 3"], b: Float[np.ndarray, "*M 3"], share: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "K 3"]:
    """`share` of b in a."""
    return a + (b - a) * share[:, None]


def random_color(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """A colour as clothes and things have them: many dull, dark or pale ones, few bright."""
    hue, saturation, value = rng.random(), rng.beta(1.6, 2.2), 0.12 + 0.83 * rng.beta(1.5, 1.3)
    if rng.random() < 0.3:
        saturation *= 0.15  # white, grey, black
    elif rng.random() < 0.2:
        hue, saturation = rng.uniform(0.57, 0.66), rng.uniform(0.3, 0.7)  # blue cloth
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def random_tone(
    palette: Float[np.ndarray, "K 3"], rng: np.random.Generator, lean: float = 1.0
) -> Float[np.ndarray, " 3"]:
    """A colour between two neighbours of a palette, lighter or darker; `lean` > 1 prefers its first ones."""
    at = rng.uniform() ** lean * (len(palette) - 1)
    low = int(at)
    tone = palette[low] + (palette[min(low + 1, len(palette) - 1)] - palette[low]) * (at - low)
    return np.clip(tone * rng.uniform(0.9, 1.1), 0.0, 1.0)


def pattern(
    X: Float[np.ndarray, "N 3"], scale: float, base: Float[np.ndarray, " 3"], rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """Cloth: plain, striped, checked, dotted or printed; `scale` is the size of a person in the unit of X."""
    kind = rng.choice(["plain", "stripes", "checks", "dots", "print"], p=[0.5, 0.16, 0.1, 0.08, 0.16])
    other = random_color(rng)
    period = scale * rng.uniform(0.03, 0.09)
    axis = np.array([0.0, 1.0, 0.0]) if rng.random() < 0.6 else np.array([1.0, 0.0, 0.0])
    phase = rng.random()
    if kind == "stripes":
        share = (np.mod(X @ axis / period + phase, 1.0) < rng.uniform(0.25, 0.6)).astype(np.float64)
    elif kind == "checks":
        bands = [np.mod(X[:, i] / period + phase, 1.0) < 0.5 for i in (0, 1)]
        share = 0.5 * (bands[0].astype(np.float64) + bands[1])
    elif kind == "dots":
        cell = np.mod(X[:, :2] / period + phase, 1.0) - 0.5
        share = (np.hypot(cell[:, 0], cell[:, 1]) < rng.uniform(0.2, 0.35)).astype(np.float64)
    elif kind == "print":
        share = smoothstep(fractal_noise(X, scale * rng.uniform(0.03, 0.12), rng), 0.45, 0.55)
    else:
        share = np.zeros(len(X))
    color = mix(base, other, share)
    return color * (0.88 + 0.24 * fractal_noise(X, 0.02 * scale, rng, 2))[:, None]
