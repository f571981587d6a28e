"""The rendered world: photographs of posed bodies and animals with the template vertex of every pixel known.

Written as an ordinary COCO file with CSE points (`dp_vertex`): it takes the way in of any other data set.

    annotations.json                 one instance an image, splits "train" and "val"
    images/train_000000.png          ...
    vertex_maps/train_000000.npz     `vertex` (h, w) int32: the box's pixels, -1 where the subject is not seen
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from ..config import to_jsonable
from ..images import box_of_silhouette, encode_silhouette, write_png
from ..records import Camera
from ..rendering.rasterize import Fragments, make_scene, vertex_map
from ..rendering.shading import vertex_normals
from ..templates.posable import PosableShape
from .appearance import animal_colors, person_colors
from .backgrounds import paint_backdrop
from .densepose import xy_to_dp
from .occluders import add_occluders
from .photograph import ShadowMap, composite, expose, sample_light, shade_ground, shade_subject
from .viewpoints import Viewpoint, place_camera, sample_viewpoint
from .world_settings import Category, WorldSettings

__all__ = ["RenderedImage", "WorldSettings", "render_image", "write_world"]

Split = Literal["train", "val"]
TEMPLATES: dict[Category, str] = {"person": "person-v1", "quadruped": "quadruped-v1"}
FIRST_ID: dict[Split, int] = {"train": 1, "val": 10_000_001}  # an id must not depend on the number of images
LICENCE = {"id": 1, "name": "CC0-1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}


@dataclass(frozen=True)
class RenderedImage:
    """One photograph and its truth.

    `silhouette` are the pixels where the subject is seen, `vertices` their nearest template vertex (-1
    elsewhere), `whole` the number of pixels it would have with nothing in front. `camera` maps the world
    (metres), where the posed subject's vertices are `V`, to the pixels.
    """

    image: UInt8[np.ndarray, "S S 3"]
    silhouette: Bool[np.ndarray, "S S"]
    vertices: Int32[np.ndarray, "S S"]
    whole: int
    camera: Camera
    view: Viewpoint
    V: Float[np.ndarray, "V 3"]


def write_world(
    out: Path,
    settings: WorldSettings,
    progress: Callable[[int, int], object] | None = None,
    workers: int = 2,
) -> None:
    """Render a data set into the folder `out`; the same bytes whatever the number of worker processes.

    Args:
        out: a folder, made if it is absent.
        settings: size, seed and look.
        progress: called with the images done and their number after each one.
        workers: processes; 1 renders in this one.
    """
    for folder in ("images", "vertex_maps"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    counts: dict[Split, int] = {"train": settings.n_train, "val": settings.n_val}
    jobs = [(split, index) for split, count in counts.items() for index in range(count)]
    images, annotations = [], []
    for image, annotation in _results(partial(_write_image, out, settings), jobs, workers):
        images.append(image)
        annotations.append(annotation)
        if progress is not None:
            progress(len(images), len(jobs))
    data = {
        "info": {
            "description": f"Rendered world: {settings.category}",
            "densecorr": {"label_source": "synthetic", "settings": to_jsonable(settings)},
        },
        "licenses": [LICENCE],
        "categories": [{"id": 1, "name": settings.category}],
        "images": images,
        "annotations": annotations,
    }
    (out / "annotations.json").write_text(
        json.dumps(data, separators=(",", ":"), allow_nan=False), encoding="utf-8"
    )


def render_image(settings: WorldSettings, split: Split, index: int) -> RenderedImage:
    """Image `index` of a split: decided by the seed, the split, the index and the look alone."""
    rng = _streams(settings, split, index)
    shape = load_shape(settings.category)
    V, F, rest = shape.sample(rng.pose, settings.subject.pose_spread), shape.F, _rest(settings.category)
    view = sample_viewpoint(settings.subject, settings.framing, rng.view)
    camera = place_camera(V, view, settings.framing, settings.image_size, rng.view)
    scene = make_scene(V, F)
    fragments = scene.fragments(camera)
    body = fragments.face >= 0

    seen = _at_pixels(fragments, F, np.concatenate([V, rest, vertex_normals(V, F)], axis=1))
    X, X_rest, normals = seen[:, :3], seen[:, 3:6], seen[:, 6:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    albedo = (person_colors if settings.category == "person" else animal_colors)(X_rest, rest, rng.coat)
    eye = -camera.R.T @ camera.t
    to_eye = (eye - X) / np.linalg.norm(eye - X, axis=1, keepdims=True)

    light = sample_light(view.azimuth, settings.photograph, rng.light)
    shadows = ShadowMap(V, scene, light)
    depth = float(np.linalg.norm(eye - V.mean(axis=0)))
    backdrop = paint_backdrop(camera, settings.backdrop, albedo, depth, rng.backdrop)
    colors = shade_subject(
        albedo, normals, to_eye, shadows.shade(X), light, float(rng.coat.uniform(0.0, 0.12))
    )
    image = composite(shade_ground(backdrop, shadows, light), body, colors)
    image, hidden = add_occluders(image, body, settings.occlusion, albedo, rng.occluders)

    silhouette = body & ~hidden
    return RenderedImage(
        image=expose(image, settings.photograph, rng.sensor),
        silhouette=silhouette,
        vertices=np.where(silhouette, vertex_map(fragments, F), -1).astype(np.int32),
        whole=int(body.sum()),
        camera=camera,
        view=view,
        V=V,
    )


class _Streams(NamedTuple):
    """A generator for each choice: a change of, say, the occluders leaves poses and views as they were."""

    pose: np.random.Generator
    view: np.random.Generator
    coat: np.random.Generator
    backdrop: np.random.Generator
    light: np.random.Generator
    occluders: np.random.Generator
    sensor: np.random.Generator
    points: np.random.Generator


def _streams(settings: WorldSettings, split: Split, index: int) -> _Streams:
    sequence = np.random.SeedSequence(settings.seed, spawn_key=(("train", "val").index(split), index))
    return _Streams(*map(np.random.default_rng, sequence.spawn(len(_Streams._fields))))


@cache
def load_shape(category: Category) -> PosableShape:
    """The shipped shape that a category is drawn with."""
    if category == "person":
        from ..templates.body import load_body

        return load_body()
    from ..templates.quadruped import load_quadruped

    return load_quadruped()


@cache
def _rest(category: Category) -> Float[np.ndarray, "V 3"]:
    return load_shape(category).rest()


def _at_pixels(
    fragments: Fragments, F: np.ndarray, values: Float[np.ndarray, "V c"]
) -> Float[np.ndarray, "N c"]:
    """Per-vertex values at the covered pixels, row by row."""
    hit = fragments.face >= 0
    corners, bary = F[fragments.face[hit]], fragments.bary[hit].astype(np.float64)
    return np.einsum("nk,nkc->nc", bary, values[corners])


def _write_image(
    out: Path, settings: WorldSettings, job: tuple[Split, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the files of one image; its rows of `images` and `annotations`."""
    split, index = job
    rendered = render_image(settings, split, index)
    name = f"{split}_{index:06d}"
    write_png(out / f"images/{name}.png", rendered.image)
    annotation = _annotation(rendered, settings, _streams(settings, split, index).points)
    x, y, w, h = map(int, annotation["bbox"])
    np.savez_compressed(out / f"vertex_maps/{name}.npz", vertex=rendered.vertices[y : y + h, x : x + w])
    number = FIRST_ID[split] + index
    image = {
        "id": number,
        "file_name": f"images/{name}.png",
        "width": settings.image_size,
        "height": settings.image_size,
        "license": LICENCE["id"],
        "split": split,
    }
    annotation |= {"id": number, "image_id": number}
    annotation["densecorr"]["vertex_map"] = f"vertex_maps/{name}.npz"
    return image, annotation


def _annotation(rendered: RenderedImage, settings: WorldSettings, rng: np.random.Generator) -> dict[str, Any]:
    """Box, visible silhouette and points: distinct pixels, uniform over what is seen (all of it, if few)."""
    box = box_of_silhouette(rendered.silhouette)
    pixels = np.argwhere(rendered.silhouette)
    n_points = min(settings.n_points, len(pixels))
    chosen = pixels[rng.choice(len(pixels), n_points, replace=False)] if n_points else pixels[:0]
    dp = np.round(xy_to_dp(chosen[:, ::-1].astype(np.float64), box), 4)
    area = int(rendered.silhouette.sum())
    camera = rendered.camera
    return {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": list(box),
        "area": float(area),
        "segmentation": encode_silhouette(rendered.silhouette),
        "dp_x": dp[:, 0].tolist(),
        "dp_y": dp[:, 1].tolist(),
        "dp_vertex": rendered.vertices[chosen[:, 0], chosen[:, 1]].tolist(),
        "ref_model": TEMPLATES[settings.category],
        "densecorr": {
            **asdict(rendered.view),
            "visible_share": area / max(rendered.whole, 1),
            "camera": {"K": camera.K.tolist(), "R": camera.R.tolist(), "t": camera.t.tolist()},
        },
    }


def _results(write: Callable[[Any], Any], jobs: list[Any], workers: int) -> Iterator[Any]:
    """`write` of each job, in order, over worker processes when there is enough to do."""
    if workers <= 1 or len(jobs) < 16 * workers:  # starting a process costs as much as some dozens of images
        yield from map(write, jobs)
        return
    # spawn: a fork of a process with threads (Prefect, torch) can hang
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(write, jobs, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)
