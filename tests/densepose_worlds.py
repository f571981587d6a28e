"""Random DensePose annotations and results with everything a scorer must cope with, as the files' dicts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

N_VERTICES = 60


def make_geodesics(seed: int, n: int = N_VERTICES) -> np.ndarray:
    """Distances of random points of the plane, metres, float32."""
    points = np.random.default_rng(seed).uniform(0, 1.2, (n, 2))
    return np.linalg.norm(points[:, None] - points[None], axis=-1).astype(np.float32)


def make_world(
    seed: int, n_images: int = 6, human: bool = False, clean: bool = False
) -> tuple[dict, list[dict]]:
    """Annotations and results (`vertices` as arrays). `clean` leaves out what only the reference protocol does."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for index in range(n_images):
        image: dict[str, Any] = {"id": int(100 - index * 7), "height": 120, "width": 160}
        if rng.random() < 0.3:
            x, y = rng.uniform(-5, 120), rng.uniform(-5, 80)
            image["ignore_regions_x"] = [[x, x + 60, x + 60, x]]
            image["ignore_regions_y"] = [[y, y, y + 50, y + 50]]
        images.append(image)
        boxes: list[list[float]] = []
        for _ in range(int(rng.integers(0, 4))):
            annotation = make_annotation(
                rng, len(annotations) + (1 if clean or seed % 3 else 0), image["id"], human
            )
            annotations.append(annotation)
            boxes.append(annotation["bbox"])
        for _ in range(int(rng.integers(0, 30 if rng.random() < 0.1 else 6))):
            bbox = make_box(rng)
            if boxes and rng.random() < 0.8:
                near = boxes[int(rng.integers(len(boxes)))]
                bbox = [float(v) for v in np.add(near, rng.normal(0, 2, 4) * (rng.random() < 0.8))]
                bbox[2:] = [max(bbox[2], 0.0), max(bbox[3], 0.0)]
            results.append(make_result(rng, image["id"], bbox, annotations))
    categories = [{"id": 1, "name": "cow"}, {"id": 2, "name": "horse"}, {"id": 5, "name": "none"}]
    order = rng.permutation(len(results))
    return {"images": images, "annotations": annotations, "categories": categories}, [
        results[i] for i in order
    ]


def make_box(rng: np.random.Generator) -> list[float]:
    """A box in or across the edge of the image."""
    x, y, w, h = rng.uniform(-15, 130), rng.uniform(-15, 90), rng.uniform(3, 110), rng.uniform(3, 90)
    return [float(round(v)) for v in (x, y, w, h)] if rng.random() < 0.4 else [float(v) for v in (x, y, w, h)]


def make_annotation(rng: np.random.Generator, number: int, image_id: int, human: bool) -> dict[str, Any]:
    """An annotation with or without points, with part masks, polygons, run lengths or no silhouette."""
    box = make_box(rng)
    category = int(rng.integers(1, 3))
    row: dict[str, Any] = {"id": number, "image_id": image_id, "category_id": category, "bbox": box}
    row["area"] = float(rng.choice([box[2] * box[3] * 0.7, 1024.0, 9216.0]))
    row["iscrowd"] = int(rng.random() < 0.15)
    if rng.random() < 0.2:
        row["ignore"] = int(rng.random() < 0.5)
    if rng.random() < 0.8:
        n = int(rng.choice([0, 1, 5, 9, 40, 140]))
        row["dp_x"] = rng.uniform(0, 255.9, n).tolist()
        row["dp_y"] = rng.uniform(0, 255.9, n).tolist()
        row["dp_vertex"] = rng.integers(0, N_VERTICES, n).tolist()
        row["ref_model"] = "smpl_27554" if human else f"mesh_{category}"
        if rng.random() < 0.7:
            row["dp_I"] = rng.integers(0 if rng.random() < 0.1 else 1, 25, n).tolist()
    kind = rng.integers(4)
    if kind == 0:
        row["dp_masks"] = [make_part(rng) if rng.random() < 0.4 else [] for _ in range(14)]
    elif kind == 1:
        x, y, w, h = box
        row["segmentation"] = [[x + 1, y + 1, x + w, y + 2, x + w * 0.7, y + h, x + 2, y + h * 0.8]]
    elif kind == 2:
        code = coco_mask.encode(np.asfortranarray((rng.random((120, 160)) < 0.5).astype(np.uint8)))
        row["segmentation"] = {"size": [120, 160], "counts": code["counts"].decode()}
    return row


def make_part(rng: np.random.Generator) -> dict[str, Any]:
    """A body-part mask of 256 x 256."""
    frame = np.zeros((256, 256), dtype=np.uint8)
    x, y, w, h = rng.integers(0, 200), rng.integers(0, 200), rng.integers(20, 250), rng.integers(20, 250)
    frame[y : y + h, x : x + w] = 1
    code = coco_mask.encode(np.asfortranarray(frame))
    return {"size": [256, 256], "counts": code["counts"].decode()}


def make_result(
    rng: np.random.Generator, image_id: int, bbox: list[float], annotations: list[dict]
) -> dict[str, Any]:
    """A detection: mostly right where an annotation of its box has points, noise elsewhere."""
    h, w = max(int(bbox[3]), 1), max(int(bbox[2]), 1)
    vertices = np.full((h, w), -1, dtype=np.int32)
    if rng.random() < 0.9:
        vertices[:] = rng.integers(0, N_VERTICES)
        vertices[rng.random((h, w)) < 0.1] = -1
    own = [a for a in annotations if a["image_id"] == image_id and "dp_x" in a]
    for annotation in own:
        x, y, aw, ah = annotation["bbox"]
        px = (np.array(annotation["dp_x"]) * aw / 255.0 + x - bbox[0]).astype(int)
        py = (np.array(annotation["dp_y"]) * ah / 255.0 + y - bbox[1]).astype(int)
        inside = (px >= 0) & (px < w) & (py >= 0) & (py < h) & (rng.random(len(px)) < rng.uniform(0.5, 1.0))
        vertices[py[inside], px[inside]] = np.array(annotation["dp_vertex"], dtype=np.int32)[inside]
    category = own[0]["category_id"] if own and rng.random() < 0.8 else int(rng.integers(1, 3))
    score = float(rng.choice([0.5, rng.random()]))
    return {"image_id": image_id, "category_id": category, "score": score, "bbox": bbox, "vertices": vertices}


def write_world(
    folder: Path, truth: dict, results: list[dict], geodesics: dict[str, np.ndarray], nested: bool = True
) -> list[str]:
    """The files of a world; the options of `densecorr score` that name them."""
    (folder / "gt.json").write_text(json.dumps(truth))
    rows = []
    for number, result in enumerate(results):
        vertices: Any = result["vertices"].tolist()
        if not nested:
            vertices = f"vertices-{number}.npz"
            np.savez_compressed(folder / vertices, vertices=result["vertices"])
        rows.append(result | {"vertices": vertices})
    (folder / "pred.json").write_text(json.dumps(rows))
    options = ["--gt", str(folder / "gt.json"), "--pred", str(folder / "pred.json")]
    for name, D in geodesics.items():
        np.save(folder / f"{name}.npy", D)
        options += ["--geodesics", f"{name}={folder / name}.npy"]
    return options
