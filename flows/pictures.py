"""The pictures of a report: each instance's image, truth and answers side by side, in template colours."""

import numpy as np

from densecorr.evaluation.evaluate import MethodResult
from densecorr.evaluation.overlays import figure_row, overlay_points, stack_figures
from densecorr.evaluation.report import Panel, PictureRow
from densecorr.images import read_image
from densecorr.models import Predictor
from densecorr.records import LabelRecord
from storage.datasets import DatasetInstance

from .scoring import Predictions, ScoredItem

N_WORST = 6


def crop_box(image: np.ndarray, xywh: tuple[float, float, float, float]) -> np.ndarray:
    """The image around a box with a tenth to spare."""
    x, y, w, h = xywh
    pad = 0.1 * max(w, h)
    top, left = max(0, int(y - pad)), max(0, int(x - pad))
    return image[top : int(y + h + pad) + 1, left : int(x + w + pad) + 1]


def scored_row(
    item: ScoredItem,
    predictions: Predictions,
    models: dict[str, Predictor],
    colors: np.ndarray,
    facts: str = "",
) -> PictureRow:
    """Image, truth and the answers of each method for one annotated instance (baselines that see no image left out)."""
    image, truth = read_image(item.item.path), item.truth
    radius = max(1.5, max(truth.xywh[2:]) / 70)
    by_method = {
        name: next((p for p in group if p.instance_id == truth.instance_id), None)
        for name, group in predictions.items()
        if name not in ("chance", "position prior") and not name.endswith("image only")
    }
    painted = {"image": image, "truth": overlay_points(image, truth.xy, colors[truth.vertex], radius)}
    for name, prediction in by_method.items():
        if name in models:
            if prediction is None:  # a model that needs silhouettes, and here is none
                continue
            dense = models[name].predict(image, truth.xywh, item.item.silhouette())
            painted[name] = dense.overlay(image, colors)
        elif prediction is not None:
            known = prediction.vertex >= 0
            painted[name] = overlay_points(image, truth.xy[known], colors[prediction.vertex[known]], radius)
    panels = tuple(Panel(name, crop_box(picture, truth.xywh)) for name, picture in painted.items())
    return PictureRow(truth.instance_id, panels, facts)


def stack_rows(rows: list[PictureRow]) -> np.ndarray:
    """Picture rows as one image, for a README or a quick look; panels are squared."""
    drawn = [
        figure_row(
            [squared(panel.image) for panel in row.panels], [panel.caption for panel in row.panels], 192
        )
        for row in rows
    ]
    return stack_figures(drawn)


def squared(image: np.ndarray) -> np.ndarray:
    """The picture in the middle of a white square."""
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    pads = ((top, side - height - top), (left, side - width - left), (0, 0))
    return np.pad(image, pads, constant_values=255)


def worst_rows(
    items: list[ScoredItem],
    results: dict[str, MethodResult],
    predictions: Predictions,
    models: dict[str, Predictor],
    colors: np.ndarray,
) -> list[PictureRow]:
    """The instances the first model (else zero-shot) is worst at."""
    name = next(iter(models), "zero-shot")
    if name not in results:
        return []
    error = results[name].columns["geodesic_error_228"]
    order = np.argsort(-np.nan_to_num(error, nan=-1.0), kind="stable")[:N_WORST]
    by_id = {item.truth.instance_id: item for item in items}
    ids = results[name].columns["instance_id"]
    return [
        scored_row(by_id[str(ids[i])], predictions, models, colors, f"{name}: {error[i]:.1f} of 228")
        for i in order
    ]


def unscored_row(
    item: DatasetInstance, sets: dict[str, LabelRecord], models: dict[str, Predictor], colors: np.ndarray
) -> PictureRow:
    """Image, silhouette, labels and predictions of one instance without annotations."""
    image, record = read_image(item.path), item.instance
    panels = [Panel("image", crop_box(image, record.xywh))]
    silhouette, label = item.silhouette(), sets.get(record.instance_id)
    if silhouette is not None:
        shown = np.where(silhouette[..., None], image, image // 4)
        panels.append(Panel(f"silhouette ({record.silhouette_source})", crop_box(shown, record.xywh)))
    if label is not None:
        xy = np.stack([label.x, label.y], axis=1).astype(np.float64)
        radius = max(2.0, max(record.xywh[2:]) / 70)
        painted = overlay_points(image, xy, colors[label.vertex], radius)
        panels.append(Panel("zero-shot", crop_box(painted, record.xywh)))
    for name, model in models.items():
        if silhouette is None and model.needs_silhouettes:
            continue
        dense = model.predict(image, record.xywh, silhouette)
        panels.append(Panel(name, crop_box(dense.overlay(image, colors), record.xywh)))
    return PictureRow(record.instance_id, tuple(panels))
