"""What decides a rendered world: its size and seed, and the look that stands in `data/world.toml`."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

from ..config import from_jsonable
from ..errors import SettingsError

Interval = tuple[float, float]
Category = Literal["person", "quadruped"]


@dataclass(frozen=True)
class SubjectSettings:
    """From where a category is seen (degrees; 0 in front, positive on its left) and how far its poses go."""

    azimuths: tuple[Interval, ...]
    elevation: Interval
    pose_spread: float


@dataclass(frozen=True)
class FramingSettings:
    """Size and place of the subject (shares of the image), lens and roll (degrees), cuts by the border."""

    subject_side: Interval
    off_centre: float
    field_of_view: Interval
    roll: float
    cut_probability: float
    cut_share: Interval


@dataclass(frozen=True)
class BackdropSettings:
    """Weights of the kinds of surroundings, and what stands about in them."""

    outdoors: float
    indoors: float
    clutter: float
    n_things: tuple[int, int]
    look_alike: float
    blur_px: Interval


@dataclass(frozen=True)
class OcclusionSettings:
    """How often something stands in front of the subject, and the share of the silhouette it covers then."""

    probability: float
    share: Interval
    look_alike: float


@dataclass(frozen=True)
class PhotographSettings:
    """Light, exposure and sensor."""

    ambient: Interval
    light_elevation: Interval
    shadows: float
    exposure: Interval
    tint: float
    blur_px: Interval
    noise: Interval
    jpeg_quality: tuple[int, int]


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("densecorr.datasets").joinpath("data/world.toml").read_text(encoding="utf-8")
    )


def _from_file(kind: type, name: str) -> Callable[[], Any]:
    """A default: that table of world.toml."""
    return lambda: from_jsonable(kind, _tables()[name], name)


@dataclass(frozen=True)
class WorldSettings:
    """A data set of one category: `n_train` and `n_val` square images, `n_points` labelled pixels in each.

    Image k of a split depends on `seed`, the split, k and the look, never on how many images there are.

    Raises:
        SettingsError: a negative count, an image under 32 pixels, or a look that cannot be drawn.
    """

    category: Category = "person"
    n_train: int = 400
    n_val: int = 80
    seed: int = 0
    image_size: int = 192
    n_points: int = 100
    person: SubjectSettings = field(default_factory=_from_file(SubjectSettings, "person"))
    quadruped: SubjectSettings = field(default_factory=_from_file(SubjectSettings, "quadruped"))
    framing: FramingSettings = field(default_factory=_from_file(FramingSettings, "framing"))
    backdrop: BackdropSettings = field(default_factory=_from_file(BackdropSettings, "backdrop"))
    occlusion: OcclusionSettings = field(default_factory=_from_file(OcclusionSettings, "occlusion"))
    photograph: PhotographSettings = field(default_factory=_from_file(PhotographSettings, "photograph"))

    def __post_init__(self) -> None:
        """Refuse what cannot be rendered before hours of work."""
        least = {"n_train": 0, "n_val": 0, "seed": 0, "image_size": 32, "n_points": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SettingsError(
                    f"{name} of at least {low}", str(getattr(self, name)), "Correct the settings."
                )
        for low, high in (*self.subject.azimuths, self.subject.elevation, self.framing.subject_side):
            if low > high:
                raise SettingsError("intervals from low to high", f"[{low}, {high}]", "Swap the two numbers.")
        if not self.subject.azimuths:
            raise SettingsError(
                "at least one interval of azimuths", "none", "Add one, e.g. [[-180.0, 180.0]]."
            )
        if not -89.0 <= self.subject.elevation[0] <= self.subject.elevation[1] <= 89.0:
            raise SettingsError(
                "elevations within 89 degrees", str(self.subject.elevation), "Correct the settings."
            )

    @property
    def subject(self) -> SubjectSettings:
        """The settings of the category drawn."""
        return self.person if self.category == "person" else self.quadruped
