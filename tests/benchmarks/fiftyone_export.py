"""Export of instances with 100 points each into FiftyOne against the same samples, saved one by one.

The baseline is what FiftyOne's documentation shows first: fill a sample's fields and call `sample.save()`.
It takes a third of a second an image, so `make bench` compares 800 instances; 10,000 take ours as long by the piece.
Needs MongoDB, as the tests marked mongo do.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from annotation_ui.app import import_fiftyone
from annotation_ui.fields import image_fields
from annotation_ui.samples import export_dataset
from densecorr.images import encode_silhouette
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from storage.rows import records_to_table
from storage.tables import write_tables

from .measure import Benchmark, Comparison

N_IMAGES, N_INSTANCES, N_POINTS, N_VERTICES = 5_000, 2, 100, 5_000
WIDTH, HEIGHT = 640, 480


def prepare(n_images: int = N_IMAGES) -> Benchmark:
    """A data set of discs with scattered points, as tables and as records."""
    fo = import_fiftyone()
    folder = Path(tempfile.mkdtemp())
    images, instances, labels = make_records(n_images)
    tables = {"images": images, "instances": instances, "labels": labels}
    write_tables(folder, {name: records_to_table(name, rows) for name, rows in tables.items()})
    (folder / "dataset.json").write_text(json.dumps({"image_root": "."}))
    colors = {"body-v1": np.random.default_rng(0).integers(0, 256, (N_VERTICES, 3)).astype(np.uint8)}
    by_image = {image.image_id: instances[N_INSTANCES * k :][:N_INSTANCES] for k, image in enumerate(images)}
    by_instance = {"truth": {label.instance_id: [label] for label in labels}}

    def ours() -> int:
        _forget("bench-ours")
        return export_dataset(folder, [], colors, "bench-ours").n_instances

    def one_by_one() -> int:
        _forget("bench-theirs")
        dataset = fo.Dataset("bench-theirs")
        for image in images:
            sample = fo.Sample(filepath=str(folder / image.uri), image_id=image.image_id)
            dataset.add_sample(sample)
            values = image_fields(image, by_image[image.image_id], by_instance, colors)
            values["truth"] = fo.Keypoints(keypoints=_objects(fo.Keypoint, values["truth"]["keypoints"]))
            boxes = _objects(fo.Detection, values["instances"]["detections"])
            values["instances"] = fo.Detections(detections=boxes)
            for field, value in values.items():
                if value is not None:
                    sample.set_field(field, value, dynamic=False)
            sample.save()
        return dataset.count("instances.detections")

    def check() -> None:
        ours()
        one_by_one()
        keys = [
            fo.load_dataset(name).values("truth.keypoints.vertex[][]")
            for name in ("bench-ours", "bench-theirs")
        ]
        if [sorted(one) for one in keys[0]] != [sorted(one) for one in keys[1]]:
            raise AssertionError("the two data sets show different vertices")

    return Benchmark(ours, check, comparisons=(Comparison("", one_by_one, 1 / 10),), rounds=1)


def make_records(n_images: int) -> tuple[list[ImageRecord], list[InstanceRecord], list[LabelRecord]]:
    """Two discs an image, 100 random points of random vertices in each."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    discs = [encode_silhouette((x - c) ** 2 + (y - 240) ** 2 < 100**2) for c in (160, 480)]
    images = [ImageRecord(f"b/{i}", f"{i}.jpg", WIDTH, HEIGHT) for i in range(n_images)]
    instances = [
        InstanceRecord(f"b/{i}/{k}", f"b/{i}", "person", (60.0 + 320 * k, 140.0, 200.0, 200.0), discs[k])
        for i in range(n_images)
        for k in range(N_INSTANCES)
    ]
    labels = [
        LabelRecord(
            f"l/{one.instance_id}",
            one.instance_id,
            "body-v1",
            "human",
            "bench",
            (one.xywh[0] + 200 * rng.random(N_POINTS)).astype(np.float32),
            (140 + 200 * rng.random(N_POINTS)).astype(np.float32),
            rng.integers(0, N_VERTICES, N_POINTS),
        )
        for one in instances
    ]
    return images, instances, labels


def _objects(kind: Any, documents: list[dict[str, Any]]) -> list[Any]:
    """Documents as FiftyOne's own objects."""
    return [
        kind(
            id=str(one["_id"]),
            **{key: value for key, value in one.items() if key[0] != "_" and key != "mask"},
        )
        for one in documents
    ]


def _forget(name: str) -> None:
    fo = import_fiftyone()
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
