"""COCO-style files (instances, keypoints, LVIS, DensePose IUV and CSE) to tables.

What a column holds is taken from the row; everything else of the row stays, as it was written, in `extra`,
so that `export.write_coco` gives the file back field by field. Keypoints stay in the instance's `extra`;
DensePose points become a label row and stay untouched in its `extra`.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import AnnotationError, ImageError, SettingsError
from ..images import encode_silhouette, read_image
from .arrow import INSTANCES, DatasetTables
from .checks import Rejects
from .coco_annotations import AnnotationReader
from .coco_categories import read_categories, wanted_images
from .coco_images import Progress, read_images
from .coco_json import CocoFile, read_coco_file
from .coco_types import CocoSettings
from .silhouettes import GrabCut, grabcut_silhouette

LABEL_SOURCES = ("human", "zero_shot", "model", "synthetic", "correction")


def read_coco(
    path: Path,
    image_root: Path,
    source: str,
    settings: CocoSettings | None = None,
    progress: Progress | None = None,
    threads: int = 8,
) -> DatasetTables:
    """Read a COCO, LVIS or DensePose file as a data set.

    Args:
        path: the JSON file.
        image_root: the folder that `file_name` starts in; for LVIS the one with train2017/, or the images
            themselves.
        source: the data set's name; ids become `<source>/<original id>`.
        settings: filters, checks, what to do with bad rows and absent silhouettes.
        progress: called with done, total and what is done.
        threads: image files read at once; the result does not depend on it.

    Raises:
        DatasetNotFoundError: no such file or folder.
        AnnotationError: not a COCO file; or a bad row (its id, what is wrong, what helps) with
            `on_error="raise"`.
        SettingsError: a source with a slash, or a category that the file does not have.
    """
    settings = settings or CocoSettings()
    if not source or "/" in source:
        raise SettingsError("a source name without '/'", repr(source), "Name the data set, such as 'coco'.")
    file = read_coco_file(Path(path))
    rejects = Rejects(Path(path), settings.on_error)
    categories = read_categories(file, settings.categories, rejects)
    wanted = wanted_images(file, categories, settings)
    images = read_images(file, Path(image_root), source, settings, wanted, rejects, progress, threads)
    label_source = _label_source(file, settings)
    reader = AnnotationReader(source, label_source, settings, images, categories)
    instances, labels = reader.read(file, rejects, progress)
    image_table = images.table
    if settings.drops_empty_images:
        used = pc.unique(instances.column("image_id"))
        image_table = image_table.filter(pc.is_in(image_table.column("image_id"), used))
    if settings.missing_silhouettes == "grabcut":
        instances = fill_silhouettes(
            instances, image_table, Path(image_root), settings.grabcut, progress, threads
        )
    known = {key: file.rest.pop(key) for key in ("info", "licenses") if key in file.rest}
    info: dict[str, Any] = {
        "format": "coco",
        "image_root": str(Path(image_root).absolute()),
        "source": source,
        "split": settings.split,
        "label_source": label_source,
        **known,
        "categories": categories.rows,
        "other": file.rest,
        "absent": list(file.absent),
    }
    return DatasetTables(image_table, instances, labels, rejects.table(), info=info)


def fill_silhouettes(
    instances: pa.Table,
    images: pa.Table,
    image_root: Path,
    settings: GrabCut,
    progress: Progress | None = None,
    threads: int = 8,
) -> pa.Table:
    """The instances, those without a silhouette given one by `grabcut_silhouette`, its source beside it.

    An instance whose box lies outside its image, or whose image cannot be read, stays without.
    """
    silhouettes = instances.column("silhouette")
    missing = np.flatnonzero(silhouettes.is_null().to_numpy())
    uris = dict(zip(images["image_id"].to_pylist(), images["uri"].to_pylist(), strict=True))
    image_ids = instances["image_id"].take(pa.array(missing)).to_pylist()
    boxes = instances["xywh"].take(pa.array(missing)).to_pylist()
    by_image: dict[str, list[int]] = {}
    for index, image_id in enumerate(image_ids):
        by_image.setdefault(image_id, []).append(index)

    def cut(image_id: str) -> list[tuple[dict[str, Any] | None, str | None]]:
        try:
            image = read_image(image_root / uris[image_id])
        except ImageError:
            return [(None, None)] * len(by_image[image_id])
        return [_cut_out(image, boxes[index], settings) for index in by_image[image_id]]

    values, sources = silhouettes.to_pylist(), instances["silhouette_source"].to_pylist()
    n_done = 0
    with ThreadPoolExecutor(threads) as pool:
        for image_id, found in zip(by_image, pool.map(cut, by_image), strict=True):
            for index, (silhouette, how) in zip(by_image[image_id], found, strict=True):
                values[missing[index]], sources[missing[index]] = silhouette, how
            n_done += len(found)
            if progress is not None:
                progress(n_done, len(missing), "silhouettes")
    for name, column in (("silhouette", values), ("silhouette_source", sources)):
        array = pa.array(column, INSTANCES.field(name).type)
        instances = instances.set_column(instances.schema.get_field_index(name), INSTANCES.field(name), array)
    return instances


def _cut_out(
    image: np.ndarray, xywh: list[float], settings: GrabCut
) -> tuple[dict[str, Any] | None, str | None]:
    try:
        silhouette, how = grabcut_silhouette(image, (xywh[0], xywh[1], xywh[2], xywh[3]), settings)
    except ImageError:
        return None, None
    return (encode_silhouette(silhouette), how) if silhouette.any() else (None, None)


def _label_source(file: CocoFile, settings: CocoSettings) -> str:
    info = file.rest.get("info")
    ours = info.get("densecorr") if isinstance(info, dict) else None
    said = (
        ours.get("label_source", settings.label_source) if isinstance(ours, dict) else settings.label_source
    )
    if said not in LABEL_SOURCES:
        raise AnnotationError(
            f"one of {', '.join(LABEL_SOURCES)} as info.densecorr.label_source",
            repr(said),
            f"Correct {file.path}.",
        )
    return said
