"""`densecorr predict`: vertex maps, overlays and pred.json of a trained model on images or folders."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from densecorr.errors import AnnotationError, DatasetNotFoundError, ImageError

if TYPE_CHECKING:
    from .session import Session

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Predict:
    """Predict the surface point of every pixel of the objects in images.

    Writes DIR/vertices/*.npz (int32 `vertices` of each box's pixels, -1 outside the silhouette), DIR/overlays/*.png and
    DIR/pred.json, which a scorer reads.
    """

    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files, or folders of them."""
    model: str
    """A trained model: the id, a unique prefix or a tag of a `train` artifact, or its folder."""
    out: Path
    """Folder to write to."""
    boxes: Path | None = None
    """COCO file whose boxes to use, found by file name; without, each whole image is one box."""
    category: str | None = None
    """Use only boxes of this category; the model's own category when the file has it."""
    silhouettes: bool = False
    """Tell the model the silhouettes of the COCO file, where it has them; without, it finds its own."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1."""

    def __call__(self, session: "Session") -> None:
        """Predict and write everything."""
        import numpy as np

        from densecorr.images import read_image, write_png
        from densecorr.models import load_predictor

        model = load_predictor(model_folder(self.model, session), self.device)
        files = list(image_files(self.images))
        boxes = read_boxes(self.boxes, self.category, model.config.get("category")) if self.boxes else None
        for name in ("vertices", "overlays"):
            (self.out / name).mkdir(parents=True, exist_ok=True)
        results: list[dict[str, Any]] = []
        for number, path in enumerate(files):
            image = read_image(path)
            found = boxes.get(path.name, []) if boxes is not None else [whole_image(image, path, number)]
            overlay = image
            for index, box in enumerate(found):
                told = box_silhouette(box, *image.shape[:2]) if self.silhouettes else None
                prediction = model.predict(image, box["bbox"], told)
                # the ending stays in the name: a.jpg and a.png may both be there
                file = f"vertices/{path.name}_{index}.npz"
                np.savez_compressed(self.out / file, vertices=prediction.vertices)
                overlay = prediction.overlay(overlay, model.colors)
                row = {key: box[key] for key in ("image_id", "category_id", "bbox")}
                results.append({**row, "score": prediction.score, "vertices": file})
            write_png(self.out / f"overlays/{path.name}.png", overlay)
        (self.out / "pred.json").write_text(json.dumps(results, indent=1) + "\n")
        print(
            f"{len(results)} objects in {len(files)} images: {self.out / 'pred.json'}, {self.out / 'overlays'}"
        )


def model_folder(reference: str, session: "Session") -> Path:
    """A folder as it is, else the store's artifact."""
    folder = Path(reference)
    if (folder / "config.json").is_file():
        return folder
    return session.store.path(session.store.resolve(reference))


def image_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """The files named, and the image files right inside the folders named, by name.

    Raises:
        DatasetNotFoundError: a path is absent, or a folder has no image.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_ENDINGS)
            if not inside:
                raise DatasetNotFoundError(
                    f"images in {path}", "none", f"Endings read: {', '.join(IMAGE_ENDINGS)}."
                )
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise DatasetNotFoundError("an image file or a folder", f"nothing at {path}", "Check the path.")


def box_silhouette(box: dict[str, Any], height: int, width: int) -> Any:
    """The mask of a COCO annotation's segmentation, None if it has none."""
    import msgspec

    from densecorr.datasets.coco_types import Rle
    from densecorr.datasets.segmentations import compress_segmentation
    from densecorr.images import decode_silhouette

    segmentation = box.get("segmentation")
    if isinstance(segmentation, dict):
        segmentation = msgspec.convert(segmentation, Rle)
    rle = compress_segmentation(segmentation, height, width)
    return None if rle is None else decode_silhouette(rle, height, width)


def whole_pixels(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    """The smallest box of whole pixels around a box: its pixels are those of the vertex map that is written."""
    x0, y0 = math.floor(box[0]), math.floor(box[1])
    x1, y1 = math.ceil(box[0] + box[2]), math.ceil(box[1] + box[3])
    return (float(x0), float(y0), float(x1 - x0), float(y1 - y0))


def whole_image(image: Any, path: Path, number: int) -> dict[str, Any]:
    """One box around everything."""
    height, width = image.shape[:2]
    if min(height, width) < 2:
        raise ImageError("an image of at least 2x2 pixels", f"{width}x{height}: {path}", "Leave it out.")
    return {"image_id": number, "category_id": 1, "bbox": (0.0, 0.0, float(width), float(height))}


def read_boxes(path: Path, category: str | None, own: str | None) -> dict[str, list[dict[str, Any]]]:
    """Boxes of a COCO file by image file name, each with image_id, category_id and bbox.

    Raises:
        AnnotationError: not a COCO file, or the category is not in it.
    """
    try:
        data = json.loads(path.read_text())
        names = {image["id"]: Path(image["file_name"]).name for image in data["images"]}
        known = {entry["name"]: entry["id"] for entry in data["categories"]}
        annotations = data["annotations"]
    except FileNotFoundError as error:
        raise DatasetNotFoundError("a COCO file", f"nothing at {path}", "Check --boxes.") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise AnnotationError(
            "a COCO file with images, annotations, categories", f"{path}: {error}", "Mend it."
        ) from error
    wanted = category or (own if own in known else None)
    if wanted is not None and wanted not in known:
        raise AnnotationError(f"category '{wanted}' in {path}", f"{sorted(known)}", "Correct --category.")
    out: dict[str, list[dict[str, Any]]] = {}
    for row in annotations:
        if wanted is not None and row["category_id"] != known[wanted]:
            continue
        box = tuple(float(value) for value in row["bbox"])
        if len(box) != 4 or not all(value == value for value in box) or min(box[2:]) <= 0:
            raise AnnotationError(
                "a box [x, y, w, h] of positive size", f"{row['bbox']} in {path}", "Mend it."
            )
        if row["image_id"] in names:
            entry = {key: row.get(key) for key in ("image_id", "category_id", "segmentation", "id")}
            entry["bbox"] = whole_pixels(box)
            out.setdefault(names[row["image_id"]], []).append(entry)
    return out
