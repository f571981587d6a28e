"""From where a template is seen, what a prompt calls that, and the seeds of single images."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import SettingsError
from ..records import Camera
from ..rendering.cameras import framing_camera, view_direction

Interval = tuple[float, float]
FRONT, SIDE, BACK = (
    22.5,
    67.5,
    112.5,
)  # degrees from the front up to which a view is frontal, oblique, from the side


@dataclass(frozen=True)
class Viewpoints:
    """Viewpoints are drawn evenly from intervals (low, high).

    Attributes:
        azimuths: degrees; 0 is the front, positive goes to the subject's left; each interval is as likely as another.
            Front and both sides by default: from behind, Stable Diffusion paints a face on the back of the head (SHIC
            Sec. 7.3). Where it is known from where the photographs are taken, these should be the same.
        elevation: degrees above the horizon.
        margin: empty border, as a share of the image.
        focal: focal length, as a share of the image's side.
    """

    azimuths: tuple[Interval, ...] = ((-110.0, 110.0),)
    elevation: Interval = (-10.0, 30.0)
    margin: Interval = (0.06, 0.2)
    focal: Interval = (1.2, 2.6)


@dataclass(frozen=True)
class SampledView:
    """One viewpoint: angles in degrees and the camera."""

    azimuth: float
    elevation: float
    camera: Camera

    @property
    def direction(self) -> Float[np.ndarray, " 3"]:
        """Unit vector from the subject to the camera."""
        return view_direction(math.radians(self.azimuth), math.radians(self.elevation))


def check_viewpoints(settings: Viewpoints) -> None:
    """Raise a SettingsError unless every interval is one, and a camera can stand there."""
    if not settings.azimuths:
        raise SettingsError("at least one interval of azimuths", "none", "Correct viewpoints.azimuths.")
    bounds = [
        *(("azimuths", interval, (-360.0, 360.0)) for interval in settings.azimuths),
        ("elevation", settings.elevation, (-90.0, 90.0)),
        ("margin", settings.margin, (0.0, 0.45)),
        ("focal", settings.focal, (0.2, 100.0)),
    ]
    for name, (low, high), (least, most) in bounds:
        if not least <= low <= high <= most:
            raise SettingsError(
                f"(low, high) within [{least:g}, {most:g}] as viewpoints.{name}",
                f"({low:g}, {high:g})",
                "Correct the interval.",
            )


def sample_view(
    V: Float[np.ndarray, "V 3"], settings: Viewpoints, size: int, rng: np.random.Generator
) -> SampledView:
    """A random viewpoint from which all of V (metres) fits into a square image of `size` pixels."""
    low, high = settings.azimuths[rng.integers(len(settings.azimuths))]
    azimuth, elevation = float(rng.uniform(low, high)), float(rng.uniform(*settings.elevation))
    focal, margin = size * float(rng.uniform(*settings.focal)), float(rng.uniform(*settings.margin))
    direction = view_direction(math.radians(azimuth), math.radians(elevation))
    middle = (V.min(axis=0) + V.max(axis=0)) / 2
    return SampledView(azimuth, elevation, framing_camera(V, middle, direction, focal, size, margin))


def view_word(azimuth: float) -> str:
    """What a prompt calls a view from this azimuth (degrees): the side is the subject's own."""
    turned = (azimuth + 180.0) % 360.0 - 180.0
    if abs(turned) <= FRONT:
        return "front"
    if abs(turned) < SIDE:
        return "three-quarter"
    if abs(turned) <= BACK:
        return "left side" if turned > 0 else "right side"
    return "back"


def write_prompt(template: str, category: str, azimuth: float) -> str:
    """The prompt with {category} and {view} filled in.

    Raises:
        SettingsError: another name in braces, or a brace too many.
    """
    try:
        return template.format(category=category, view=view_word(azimuth))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise SettingsError(
            "a prompt with {category} and {view} at most", repr(template), "Correct the prompt."
        ) from error


def image_rng(seed: int, index: int) -> np.random.Generator:
    """The source of all that is drawn for image `index`."""
    return np.random.default_rng([seed, index])


def image_seed(seed: int, index: int) -> int:
    """The seed of image `index`, for a generator of another library; it is kept with the image."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
