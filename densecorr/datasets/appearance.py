"""What rendered people wear and how rendered animals are marked, by position on the rest template."""

import numpy as np
from jaxtyping import Bool, Float

from .textures import fractal_noise, mix, noise, pattern, random_color, random_tone, smoothstep

SKIN = (
    np.array(
        [
            [241, 206, 184],
            [229, 184, 155],
            [210, 160, 124],
            [187, 132, 97],
            [152, 101, 70],
            [112, 72, 50],
            [78, 50, 37],
        ]
    )
    / 255.0
)
HAIR = (
    np.array([[28, 22, 20], [60, 40, 28], [98, 66, 40], [150, 108, 62], [205, 170, 110], [150, 150, 148]])
    / 255.0
)
COATS = np.array(
    [
        [110, 68, 40], [146, 92, 52], [180, 130, 82], [208, 176, 132], [226, 214, 196],
        [238, 236, 232], [122, 118, 114], [74, 62, 54], [38, 33, 31], [164, 88, 44],
    ]
) / 255.0  # fmt: skip


def person_colors(
    X: Float[np.ndarray, "N 3"], rest: Float[np.ndarray, "V 3"], rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """Skin, hair and clothes at points X of the standing rest body (T- or A-pose, y up, metres).

    Regions follow proportions of the standing figure, their borders (sleeves, hems, hairline, shoes) vary.
    """
    height = float(np.ptp(rest[:, 1]))
    y, a = X[:, 1] / height, np.abs(X[:, 0]) / height
    shoulder = np.array([0.105, 0.805])
    reach = float(
        np.hypot(*(np.abs(rest[:, :2]) / height - shoulder).T)[np.abs(rest[:, 0]) > 0.12 * height].max()
    )
    along = np.hypot(a - shoulder[0], y - shoulder[1]) / reach
    arm = (a > shoulder[0]) & (y > 0.4) & (along > 0.04) & ((a > 0.15) | (y > 0.70))
    ragged = 0.012 * (fractal_noise(X, 0.04 * height, rng, 2) - 0.5)

    skin = random_tone(SKIN, rng)
    color = skin * (0.92 + 0.16 * fractal_noise(X, 0.05 * height, rng))[:, None]
    _dress(color, X, height, y + ragged, along + ragged, arm, rng)
    _crown(color, X, rest, height, skin, rng)
    return np.clip(color, 0.0, 1.0)


def _dress(
    color: Float[np.ndarray, "N 3"],
    X: Float[np.ndarray, "N 3"],
    height: float,
    y: Float[np.ndarray, " N"],
    along: Float[np.ndarray, " N"],
    arm: Bool[np.ndarray, " N"],
    rng: np.random.Generator,
) -> None:
    """Paint trousers or shorts, shirt, belt and shoes over the skin, in place."""
    hip = rng.uniform(0.50, 0.60)
    leg_end = rng.choice([rng.uniform(0.02, 0.07), rng.uniform(0.28, 0.42)], p=[0.68, 0.32])
    sleeve = rng.choice([rng.uniform(0.22, 0.42), rng.uniform(0.76, 0.85), 0.10], p=[0.45, 0.45, 0.10])
    collar = rng.uniform(0.79, 0.85)
    lower, upper = random_color(rng), random_color(rng)
    if rng.random() < 0.12:
        upper = lower  # a suit or an overall
    legs = ~arm & (y < hip) & (y > leg_end)
    color[legs] = pattern(X[legs], height, lower, rng)
    neck = np.abs(X[:, 0]) < 0.05 * height
    top = (~arm & (y >= hip) & (y < np.where(neck, collar, 0.87))) | (arm & (along < sleeve))
    color[top] = pattern(X[top], height, upper, rng)
    if rng.random() < 0.3:  # an open jacket over it
        jacket = top & ((np.abs(X[:, 0]) > height * rng.uniform(0.02, 0.05)) | (X[:, 2] < 0.0))
        color[jacket] = pattern(X[jacket], height, random_color(rng), rng)
    if rng.random() < 0.35:
        color[~arm & (np.abs(y - hip) < 0.010)] = random_color(rng) * 0.6
    if rng.random() < 0.92:
        shoe = rng.uniform(0.035, 0.075)
        color[y < shoe] = random_color(rng)
        color[y < 0.012] = random_color(rng)
    if rng.random() < 0.05:
        color[arm & (along > 0.84)] = random_color(rng)  # gloves


def _crown(
    color: Float[np.ndarray, "N 3"],
    X: Float[np.ndarray, "N 3"],
    rest: Float[np.ndarray, "V 3"],
    height: float,
    skin: Float[np.ndarray, " 3"],
    rng: np.random.Generator,
) -> None:
    """Paint hair or a hat, brows, eyes and mouth onto the head, in place."""
    head = rest[rest[:, 1] > 0.89 * height]
    middle, half = (head.min(axis=0) + head.max(axis=0)) / 2, np.ptp(head, axis=0) / 2
    on_head = X[:, 1] > 0.86 * height
    u = (X - middle) / half  # about [-1, 1] along each axis of the head
    line = rng.uniform(0.30, 0.60) + 0.12 * (fractal_noise(X, 0.02 * height, rng, 2) - 0.5)
    hair = on_head & (
        (u[:, 1] > line) | ((u[:, 2] < rng.uniform(-0.15, 0.15)) & (u[:, 1] > rng.uniform(-1.1, -0.4)))
    )
    if rng.random() < 0.35:  # long hair
        hair |= (
            (X[:, 1] > rng.uniform(0.74, 0.85) * height)
            & (u[:, 2] < -0.2)
            & (np.abs(X[:, 0]) < 0.09 * height)
        )
    tone = random_tone(HAIR, rng, lean=1.8) if rng.random() < 0.85 else random_color(rng)
    features = on_head & (u[:, 2] > 0.45)
    for place, size, paint in (
        ((0.33, -0.02), (0.13, 0.045), np.array([0.10, 0.08, 0.07])),  # eyes
        ((0.33, 0.13), (0.22, 0.045), 0.6 * tone),  # brows
        ((0.0, -0.58), (0.30, 0.06), skin * np.array([0.78, 0.5, 0.5])),  # mouth
    ):
        spot = ((np.abs(u[:, 0]) - place[0]) / size[0]) ** 2 + ((u[:, 1] - place[1]) / size[1]) ** 2 < 1.0
        color[features & spot] = paint
    if rng.random() < 0.93:
        color[hair] = tone * (0.7 + 0.6 * fractal_noise(X[hair], 0.012 * height, rng, 2))[:, None]


def animal_colors(
    X: Float[np.ndarray, "N 3"], rest: Float[np.ndarray, "V 3"], rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """A coat at points X of the standing rest quadruped: plain, patched, spotted or striped; often socks."""
    low, size = rest.min(axis=0), np.ptp(rest, axis=0)
    height = float(size[1])
    y = (X[:, 1] - low[1]) / height
    z = (X[:, 2] - low[2]) / size[2]
    base, other = random_tone(COATS, rng), COATS[rng.integers(len(COATS))]
    base = base * (0.85 + 0.3 * fractal_noise(X, 0.25 * height, rng))[:, None]
    kind = rng.choice(["plain", "patches", "spots", "stripes"], p=[0.42, 0.26, 0.18, 0.14])
    if kind == "patches":
        threshold = rng.uniform(0.42, 0.58)
        share = smoothstep(
            fractal_noise(X, height * rng.uniform(0.15, 0.35), rng), threshold - 0.01, threshold + 0.01
        )
    elif kind == "spots":
        share = _spots(X, height * rng.uniform(0.05, 0.10), rest, rng)
    elif kind == "stripes":
        bend = fractal_noise(X, 0.3 * height, rng) * height * rng.uniform(0.1, 0.4)
        along = np.where(y < 0.35, X[:, 1], X[:, 2])  # rings around the legs, bars on the body
        share = smoothstep(np.sin(2 * np.pi * (along + bend) / (height * rng.uniform(0.06, 0.12))), -0.2, 0.2)
    else:
        share = np.zeros(len(X))
    color = mix(base, other, share * rng.uniform(0.7, 1.0))
    if rng.random() < 0.5:  # paler below
        color = mix(color, np.minimum(color * 1.4 + 0.1, 1.0), 0.8 * smoothstep(-y, -0.55, -0.35) * (y > 0.3))
    ragged = 0.05 * (fractal_noise(X, 0.08 * height, rng, 2) - 0.5)
    if rng.random() < 0.45:  # socks
        color[y + ragged < rng.uniform(0.1, 0.28)] = COATS[rng.choice([5, 8, 7])]
    if rng.random() < 0.6:
        color[z + 0.3 * ragged > rng.uniform(0.955, 0.975)] *= rng.uniform(0.3, 0.7)  # muzzle
    if rng.random() < 0.4:
        back = rng.uniform(0.05, 0.14)
        color[z + ragged < back] = COATS[rng.choice([5, 8, 7])]  # tail
    color[y < rng.uniform(0.03, 0.055)] *= rng.uniform(0.2, 0.6)  # hooves
    return np.clip(color * (0.82 + 0.36 * fractal_noise(X, 0.03 * height, rng, 2))[:, None], 0.0, 1.0)


def _spots(
    X: Float[np.ndarray, "N 3"], spacing: float, rest: Float[np.ndarray, "V 3"], rng: np.random.Generator
) -> Float[np.ndarray, " N"]:
    """1 inside irregular spots about `spacing` apart."""
    from scipy.spatial import KDTree

    span = np.ptp(rest, axis=0)
    n_spots = int(min(600, 0.35 * span[1] * span[2] / spacing**2 * 2))
    centres = rest[rng.choice(len(rest), n_spots, replace=False)]
    distance = KDTree(centres).query(X)[0] / spacing + 0.5 * (noise(X, spacing, rng) - 0.5)
    return 1.0 - smoothstep(distance, 0.42, 0.5)
