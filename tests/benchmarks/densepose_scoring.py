"""GPS and GPSm AP of 400 images and 2,000 annotated objects, against the evaluator's order of work.

With 27,554 vertices the geodesics are a file of 3 GB, mapped: what counts is the memory beside it.
"""

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from densecorr.evaluation.densepose_score import ScoreSettings, score_set
from densecorr.evaluation.densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth, ScoredImage

from .densepose_order_of_work import PlainEvaluator
from .measure import Benchmark, Comparison

N_IMAGES, N_TRUTHS, N_POINTS, HEIGHT, WIDTH = 400, 5, 100, 480, 640
MESH = "mesh"
METRICS = ("gps", "gpsm")


def prepare(n_vertices: int) -> Benchmark:
    """One thread; both metrics, from loaded files."""
    D = make_geodesics(n_vertices)
    truth, results = make_set(n_vertices)
    scored = to_set(truth, results, D)

    def ours() -> list[dict[str, float]]:
        found = score_set(scored, ScoreSettings(METRICS, ("reference",)))
        return [found["reference", metric].figures for metric in METRICS]

    def plain(decoded: bool = False) -> list[dict[str, float]]:
        return [
            PlainEvaluator(copy.deepcopy(truth), results, {MESH: np.asarray(D)}, metric, decoded).figures()
            for metric in METRICS
        ]

    def check() -> None:
        if ours() != plain(decoded=True):
            raise AssertionError("the figures differ from the plain evaluator's")

    large = n_vertices > 20_000
    return Benchmark(
        ours,
        (lambda: None) if large else check,
        ()
        if large
        else (
            Comparison("order-of-work", plain, 1 / 20),
            Comparison(
                "order-of-work-decoded", lambda: plain(decoded=True)
            ),  # silhouettes need no resampling
        ),
        memory_mb=300 if large else None,
        seconds=60 if large else None,
        rounds=1 if large else 2,
    )


def make_geodesics(n_vertices: int) -> np.ndarray:
    """Distances of points of the plane, metres, float32, written in rows and mapped; the file has no name."""
    path = Path(tempfile.mkdtemp()) / "geodesics.npy"
    points = np.random.default_rng(0).uniform(0, 1.5, (n_vertices, 2)).astype(np.float32)
    D = np.lib.format.open_memmap(path, "w+", np.float32, (n_vertices, n_vertices))
    for start in range(0, n_vertices, 512):
        part = points[start : start + 512]
        D[start : start + 512] = np.sqrt(((part[:, None] - points[None]) ** 2).sum(axis=-1))
    D.flush()
    del D
    mapped = np.load(path, mmap_mode="r")
    shutil.rmtree(path.parent)  # the mapping keeps the file until the process ends
    return mapped


def make_set(n_vertices: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Objects with part masks and points; most are found, some vertices are wrong."""
    rng = np.random.default_rng(1)
    images = [{"id": number, "height": HEIGHT, "width": WIDTH} for number in range(N_IMAGES)]
    annotations, results = [], []
    for image in images:
        for _ in range(N_TRUTHS):
            w, h = rng.uniform(30, 260), rng.uniform(60, 360)
            box = [rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h), w, h]
            vertex = rng.integers(n_vertices, size=N_POINTS)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image["id"],
                "category_id": 1,
                "bbox": box,
                "area": w * h * 0.6,
                "iscrowd": 0,
                "dp_x": rng.uniform(0, 255, N_POINTS).tolist(),
                "dp_y": rng.uniform(0, 255, N_POINTS).tolist(),
                "dp_vertex": vertex.tolist(),
                "ref_model": MESH,
                "dp_masks": [make_part(rng) for _ in range(14)],
            }
            annotations.append(annotation)
            if rng.random() < 0.02:
                continue
            found = [float(v) for v in np.add(box, rng.normal(0, 3, 4))]
            vertices = np.full((int(found[3]), int(found[2])), -1, dtype=np.int32)
            rows, columns = np.indices(vertices.shape)
            inside = ((rows / vertices.shape[0] - 0.5) ** 2 + (columns / vertices.shape[1] - 0.5) ** 2) < 0.24
            vertices[inside] = rng.integers(n_vertices, size=inside.sum())
            px = (np.array(annotation["dp_x"]) * w / 255.0 + box[0] - found[0]).astype(int)
            py = (np.array(annotation["dp_y"]) * h / 255.0 + box[1] - found[1]).astype(int)
            right = (px >= 0) & (px < vertices.shape[1]) & (py >= 0) & (py < vertices.shape[0])
            right &= rng.random(N_POINTS) < rng.uniform(0.5, 1)
            vertices[py[right], px[right]] = vertex[right]
            results.append(
                {
                    "image_id": image["id"],
                    "category_id": 1,
                    "score": rng.random(),
                    "bbox": found,
                    "vertices": vertices,
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cow"}],
    }, results


def make_part(rng: np.random.Generator) -> dict[str, Any]:
    """A body part: an ellipse in the frame of 256 x 256."""
    y, x = np.indices((256, 256))
    cx, cy, rx, ry = rng.uniform(60, 196), rng.uniform(40, 216), rng.uniform(15, 60), rng.uniform(15, 60)
    code = coco_mask.encode(
        np.asfortranarray(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1).astype(np.uint8)
    )
    return {"size": [256, 256], "counts": code["counts"].decode()}


def to_set(truth: dict[str, Any], results: list[dict[str, Any]], D: np.ndarray) -> DensePoseSet:
    """What the readers make of the files."""
    return DensePoseSet(
        tuple(ScoredImage(i["id"], i["height"], i["width"]) for i in truth["images"]),
        {1: "cow"},
        tuple(
            DensePoseTruth(
                a["id"],
                a["image_id"],
                1,
                tuple(a["bbox"]),
                a["area"],
                np.stack([a["dp_x"], a["dp_y"]], axis=1),
                np.array(a["dp_vertex"]),
                MESH,
                part_masks=a["dp_masks"],
            )
            for a in truth["annotations"]
        ),
        tuple(
            DensePoseDetection(n, r["image_id"], 1, r["score"], tuple(r["bbox"]), r["vertices"])
            for n, r in enumerate(results)
        ),
        {MESH: D},
        {},
    )
