"""COCO-style files (instances, keypoints, LVIS, DensePose IUV and CSE) to tables.

What a column holds is taken from the row; everything else of the row stays, as it was written, in `extra`,
so that `export.write_coco` gives the file back field by field. Keypoints stay in the instance's `extra`;
DensePose points become a label row and stay untouched in its `extra`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import AnnotationError, ImageError, SettingsError
from ..images import encode_silhouette, read_image
from .arrow import INSTANCES, LABELS, DatasetTables
from .checks import Rejects
from .coco_annotations import AnnotationReader
from .coco_categories import read_categories, wanted_images
from .coco_image_files import NOTHING_KNOWN, FileMemory
from .coco_images import Progress, read_images
from .coco_json import CocoFile, read_coco_file
from .coco_types import CocoSettings
from .silhouettes import GrabCut, grabcut_silhouette

LABEL_SOURCES = ("human", "zero_shot", "model", "synthetic", "correction")


class CocoReader:
    """A COCO, LVIS or DensePose file, its images read and checked, its annotations still to come.

    Iterate over `batches` to the end; `images`, `quarantine` and `info` are whole then.

    Args:
        path, image_root, source, settings, progress, threads, listed: as `read_coco`.
        memory: image files that need not be read again while they are the same.

    Raises:
        DatasetNotFoundError, AnnotationError, SettingsError: as `read_coco`.
    """

    def __init__(
        self,
        path: Path,
        image_root: Path,
        source: str,
        settings: CocoSettings | None = None,
        progress: Progress | None = None,
        threads: int = 8,
        listed: frozenset[str] | None = None,
        memory: FileMemory = NOTHING_KNOWN,
    ) -> None:
        settings = settings or CocoSettings()
        if not source or "/" in source:
            raise SettingsError(
                "a source name without '/'", repr(source), "Name the data set, such as 'coco'."
            )
        self._root, self._settings, self._progress, self._threads = image_root, settings, progress, threads
        self._file = file = read_coco_file(Path(path))
        self._rejects = Rejects(Path(path), settings.on_error)
        categories = read_categories(file, settings.categories, self._rejects)
        wanted = wanted_images(file, categories, settings)
        images = read_images(
            file, Path(image_root), source, settings, wanted, self._rejects, progress, threads, listed, memory
        )
        self._images, self._used = images.table, []
        self.image_files, self.n_unread_files = images.files, images.n_unread
        label_source = _label_source(file, settings)
        self._annotations = AnnotationReader(source, label_source, settings, images, categories)
        known = {key: file.rest.pop(key) for key in ("info", "licenses") if key in file.rest}
        self.info: dict[str, Any] = {
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

    def batches(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Instances and labels, some thousand annotations at once, in the file's order.

        Raises:
            AnnotationError: a bad row, with `on_error="raise"`.
        """
        for instances, labels in self._annotations.read(self._file, self._rejects, self._progress):
            if self._settings.drops_empty_images:
                self._used.append(pc.unique(instances.column("image_id")))
            yield instances, labels
            self._file.release()

    def read(self) -> tuple[pa.Table, pa.Table]:
        """All instances and labels at once, absent silhouettes made as the settings say.

        Raises:
            AnnotationError: a bad row, with `on_error="raise"`.
        """
        batches = [(INSTANCES.empty_table(), LABELS.empty_table()), *self.batches()]
        instances = pa.concat_tables([batch[0] for batch in batches])
        labels = pa.concat_tables([batch[1] for batch in batches])
        if self._settings.missing_silhouettes == "grabcut":
            grabcut = self._settings.grabcut
            instances = fill_silhouettes(
                instances, self.images, Path(self._root), grabcut, self._progress, self._threads
            )
        return instances, labels

    @property
    def images(self) -> pa.Table:
        """The images table, without those that the settings drop for having no instance."""
        if not self._settings.drops_empty_images:
            return self._images
        used = pa.chunked_array(self._used, pa.string())
        return self._images.filter(pc.is_in(self._images.column("image_id"), used))

    @property
    def n_panoptic(self) -> int:
        """Annotations of panoptic files (`segments_info`, no category) met and left out so far."""
        return self._annotations.n_panoptic

    @property
    def quarantine(self) -> pa.Table:
        """The rows set aside so far."""
        return self._rejects.table()


def read_coco(
    path: Path,
    image_root: Path,
    source: str,
    settings: CocoSettings | None = None,
    progress: Progress | None = None,
    threads: int = 8,
    listed: frozenset[str] | None = None,
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
        listed: keep only these images (`image_lists.images_in_list`).

    Raises:
        DatasetNotFoundError: no such file or folder.
        AnnotationError: not a COCO file; or a bad row (its id, what is wrong, what helps) with
            `on_error="raise"`; or `listed` names no image of the file.
        SettingsError: a source with a slash, or a category that the file does not have.
    """
    reader = CocoReader(path, image_root, source, settings, progress, threads, listed)
    instances, labels = reader.read()
    return DatasetTables(reader.images, instances, labels, reader.quarantine, info=reader.info)


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
