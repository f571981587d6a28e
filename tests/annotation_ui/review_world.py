"""A store with a round template, images of blobs, labels to judge and another opinion, of any size."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from annotation_ui.desk import Desk
from annotation_ui.desk_settings import DeskSettings
from densecorr.images import encode_silhouette, write_png
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from densecorr.templates import TemplateSettings, build_template, write_template
from storage.artifacts import Recipe, Store
from storage.tables import records_to_table, write_tables

SIDE = 64  # pixels of an image


@cache
def ball() -> tuple[np.ndarray, np.ndarray]:
    """A sphere of 642 vertices, radius 1."""
    import trimesh

    sphere = trimesh.creation.icosphere(subdivisions=3)
    return np.asarray(sphere.vertices, float), np.asarray(sphere.faces, int)


def put_template(store: Store, template_id: str = "ball-v1") -> str:
    V, F = ball()
    template = build_template(V, F, template_id, TemplateSettings(n_eigenpairs=4, n_coarse=20))
    recipe = Recipe("template", 1, {"id": template_id}, {})
    return store.ensure(recipe, lambda out: write_template(out, template))


def front_points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n points on the ball's front as seen from +z, in pixels, and their vertices."""
    V, _ = ball()
    front = np.flatnonzero(V[:, 2] > 0.3)
    chosen = np.random.default_rng(seed).choice(front, n, replace=n > len(front))
    x = SIDE / 2 + 20 * V[chosen, 0]
    return x.astype(np.float32), (SIDE / 2 - 20 * V[chosen, 1]).astype(np.float32), chosen


def make_labels(
    n: int, points: int, source: str, producer: str, template_id: str = "ball-v1", shift: float = 0.0
) -> list[LabelRecord]:
    labels = []
    for i in range(n):
        x, y, vertex = front_points(points, i)
        labels.append(
            LabelRecord(
                f"{producer}/{i}",
                f"i/{i}",
                template_id,
                source,
                producer,
                x + np.float32(shift),
                y,
                vertex,
                score=np.linspace(0.2, 1, points, dtype=np.float32),
            )
        )
    return labels


def put_dataset(store: Store, n: int, version: int = 1, labels: list[LabelRecord] | None = None) -> str:
    """n images of one ball each; with labels of its own if given."""
    ys, xs = np.mgrid[:SIDE, :SIDE]
    mask = (xs - SIDE / 2) ** 2 + (ys - SIDE / 2) ** 2 <= 400
    rle = encode_silhouette(mask)

    def write(out: Path) -> None:
        write_png(out / "ball.png", np.where(mask[..., None], 200, 30).astype(np.uint8).repeat(3, axis=2))
        images = [ImageRecord(f"m{i}", "ball.png", SIDE, SIDE) for i in range(n)]
        instances = [
            InstanceRecord(
                f"i/{i}", f"m{i}", "ball", (12.0, 12.0, 41.0, 41.0), rle, "made", "ball-v1", 1257.0
            )
            for i in range(n)
        ]
        tables = {
            "images": records_to_table("images", images),
            "instances": records_to_table("instances", instances),
            "labels": records_to_table("labels", labels or []),
        }
        write_tables(out, tables)
        (out / "dataset.json").write_text(json.dumps({"image_root": "."}))

    return store.ensure(Recipe("ingest", 1, {"n": n, "version": version}, {}), write)


def put_labels(store: Store, labels: list[LabelRecord], key: str) -> str:
    table: pa.Table = records_to_table("labels", labels)
    return store.ensure(
        Recipe("pseudo-label", 1, {"key": key}, {}), lambda out: write_tables(out, {"labels": table})
    )


def make_world(folder: Path, n: int = 5, points: int = 12) -> tuple[Store, DeskSettings]:
    """The store and the settings of a desk for `ann`: zero-shot labels to judge, a model's as opinion."""
    store = Store(folder)
    template = put_template(store)
    dataset = put_dataset(store, n, labels=make_labels(n, points, "human", "people"))
    labels = put_labels(store, make_labels(n, points, "zero_shot", "zero"), "zero")
    opinion = put_labels(store, make_labels(n, points, "model", "net"), "net")
    store.tag("data", dataset)
    store.tag("zero", labels)
    store.tag("net", opinion)
    settings = DeskSettings(store.place.uri, dataset, "balls", "ann", template, labels, opinion)
    return store, settings


def act_on(desk: Desk, key: str, action: str, after: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The act as the panel would send it."""
    seen = desk.review_instance(key, lease=True)
    return {
        "instance_id": key,
        "label_id": seen["label"]["label_id"],
        "revision": seen["revision"],
        "action": action,
        "point_id": None,
        "undoes": None,
        "before": {},
        "after": after,
        "reason": None,
        "seconds": 2.0,
    } | other


def accept(desk: Desk, key: str) -> dict[str, Any]:
    return desk.review_act(act_on(desk, key, "accept", {"verdict": {"action": "accept", "reason": None}}))


def point_of(desk: Desk, key: str, point_id: int) -> dict[str, Any]:
    return desk.review_instance(key, lease=False)["points"][point_id]


def moved(point: dict[str, Any], **change: Any) -> dict[str, Any]:
    kept = {name: point[name] for name in ("x", "y", "vertex", "visible")}
    return {"points": {str(point["point_id"]): kept | change}}
