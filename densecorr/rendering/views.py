"""The rendered views of a template, and their folder."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..errors import ArtifactError
from ..records import Camera
from .cameras import RigSettings, camera_rig, rig_angles
from .rasterize import Backend, Fragments, make_scene
from .shading import depth_image, normal_image, shaded_image

Style = Literal["normals", "shaded", "depth"]


@dataclass(frozen=True)
class ViewSettings:
    """The rig, the picture drawn of each view (SHIC matches normal maps best, Table 5), and the back end."""

    rig: RigSettings = field(default_factory=RigSettings)
    style: Style = "normals"
    backend: Backend = "embree"


@dataclass(frozen=True)
class Views:
    """N views of one template; `angles` are azimuth and elevation in degrees."""

    cameras: list[Camera]
    fragments: list[Fragments]
    images: UInt8[np.ndarray, "N S S 3"]
    angles: Float[np.ndarray, "N 2"]


def render_views(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    settings: ViewSettings,
    progress: Callable[[int, int], object] | None = None,
) -> Views:
    """Render every view of the rig around V (metres)."""
    cameras = camera_rig(V, settings.rig)
    scene = make_scene(V, F, settings.backend)
    fragments, images = [], []
    for index, camera in enumerate(cameras):
        fragment = scene.fragments(camera)
        fragments.append(fragment)
        images.append(draw_view(fragment, V, F, camera, settings.style))
        if progress is not None:
            progress(index + 1, len(cameras))
    return Views(cameras, fragments, np.stack(images), rig_angles(settings.rig))


def draw_view(
    fragments: Fragments, V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], camera: Camera, style: Style
) -> UInt8[np.ndarray, "H W 3"]:
    """One view as a picture."""
    if style == "normals":
        return normal_image(fragments, V, F, camera)
    return shaded_image(fragments, V, F) if style == "shaded" else depth_image(fragments)


def write_views(folder: Path, views: Views) -> None:
    """`views.npz` (fragments and pictures) and `cameras.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "views.npz",
        allow_pickle=False,
        face=np.stack([f.face for f in views.fragments]),
        bary=np.stack([f.bary[..., :2] for f in views.fragments]).astype(np.float16),
        depth=np.stack([f.depth for f in views.fragments]),
        images=views.images,
        angles=views.angles,
    )
    cameras = [{**asdict(c), "K": c.K.tolist(), "R": c.R.tolist(), "t": c.t.tolist()} for c in views.cameras]
    (folder / "cameras.json").write_text(json.dumps(cameras) + "\n")


def read_views(folder: Path) -> Views:
    """What `write_views` wrote; barycentrics come back to three digits.

    Raises:
        ArtifactError: the folder holds no views.
    """
    try:
        with np.load(folder / "views.npz", allow_pickle=False) as file:
            stored = {name: file[name] for name in ("face", "bary", "depth", "images", "angles")}
        rows = json.loads((folder / "cameras.json").read_text())
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ArtifactError("rendered views", f"{folder} ({error})", "Name a `render` artifact.") from error
    cameras = [
        Camera(
            np.array(r["K"]),
            np.array(r["R"]),
            np.array(r["t"]),
            r["width"],
            r["height"],
            tuple(r["distortion"]),
        )
        for r in rows
    ]
    two = stored["bary"].astype(np.float32)
    third = np.where(stored["face"] >= 0, 1.0 - two.sum(axis=-1), 0.0).astype(np.float32)
    bary = np.concatenate([two, third[..., None]], axis=-1)
    fragments = [Fragments(f, b, d) for f, b, d in zip(stored["face"], bary, stored["depth"], strict=True)]
    return Views(cameras, fragments, stored["images"], stored["angles"])
