"""Keypoint transfer: a point of image A to image B, through the template or from embedding to embedding; its PCK.

SHIC (Sec. 4.3, Table 2) scores both ways on PF-PASCAL: pixel to vertex to pixel, and pixel to pixel.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import EmptyInstanceError, SettingsError
from ..models import Predictor
from ..models.predictor import Embedded
from .bootstrap import BootstrapSettings, RatioOfSums, bootstrap_intervals
from .pck import correct_points

TransferMethod = Literal["vertex", "soft", "embedding"]
Reference = Literal["image", "bbox"]
Xywh = tuple[float, float, float, float]
MEAN = "mean over categories"
WINDOW = 2  # cells around the best one that the soft answer averages over
POINTS_AT_ONCE = 256


def transfer_points(
    predictor: Predictor,
    image_a: UInt8[np.ndarray, "HA WA 3"],
    box_a: Xywh,
    xy_a: Float[np.ndarray, "P 2"],
    image_b: UInt8[np.ndarray, "HB WB 3"],
    box_b: Xywh,
    method: TransferMethod = "vertex",
    silhouette_a: Bool[np.ndarray, "HA WA"] | None = None,
    silhouette_b: Bool[np.ndarray, "HB WB"] | None = None,
) -> Float[np.ndarray, "P 2"]:
    """Where the points of image A are in image B, full-image pixels.

    Boxes are COCO boxes; silhouettes, if given, are told to the model. For `method` see `transfer_embedded`.
    """
    a, b = predictor.embed(image_a, box_a, silhouette_a), predictor.embed(image_b, box_b, silhouette_b)
    return transfer_embedded(predictor, a, xy_a, b, method)


@torch.no_grad()
def transfer_embedded(
    predictor: Predictor, a: Embedded, xy_a: Float[np.ndarray, "P 2"], b: Embedded, method: TransferMethod
) -> Float[np.ndarray, "P 2"]:
    """`transfer_points` on crops that the network has seen.

    - "vertex": the best vertex of the point, then the best foreground pixel of that vertex (SHIC's canonical maps).
    - "soft": p(v | u) = sum over vertices x of p(v | x, B) p(x | u, A), the transition of SHIC's cycle loss (Sec. 3.4)
      between two images, over the foreground cells v of B and the vertices of the training level; the answer is the
      mean position in a window around the most probable cell, so that a second mode far off does not pull it away.
    - "embedding": the foreground cell of B whose embedding has the largest cosine with the point's; no template.
    """
    if method == "vertex":
        vertex, _ = predictor.vertices_at(a, xy_a)
        return predictor.pixels_of(b, vertex)
    xy_b, pixel_b = predictor.foreground(b)
    queries = predictor.embeddings_at(a, xy_a)
    if method == "embedding":
        return xy_b[(normalize(queries, dim=1) @ normalize(pixel_b, dim=1).T).argmax(dim=1).numpy()]
    E, scale = predictor.vertex_embedding, 1.0 / predictor.settings.temperature
    to_pixel = ((pixel_b @ E.T * scale).log_softmax(dim=1)).softmax(
        dim=0
    )  # (N, K): p(x | v), renormalised over v
    parts = [
        (part @ E.T * scale).softmax(dim=1) @ to_pixel.T for part in queries.split(POINTS_AT_ONCE)
    ]  # (P, N)
    cell = b.frame.size / b.logit.shape[1] / b.frame.scale  # its side, full-image pixels
    return _window_mean(torch.cat(parts), xy_b, (WINDOW + 0.5) * cell)


def _window_mean(
    p: Float[Tensor, "P N"], xy: Float[np.ndarray, "N 2"], reach: float
) -> Float[np.ndarray, "P 2"]:
    """The mean position under each row of probabilities, at most `reach` in x and y from the most probable one."""
    best = xy[p.argmax(dim=1).numpy()]
    near = np.abs(xy[None] - best[:, None]).max(axis=2) <= reach  # (P, N)
    weight = np.where(near, p.double().numpy(), 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.where(total > 0, weight @ xy / np.where(total > 0, total, 1.0), best)


@dataclass(frozen=True)
class TransferRule:
    """When a transferred point is correct: within alpha times the longer side of image B, or of B's box.

    PF-PASCAL is scored by the image's sides, SPair-71k by the box's, both at .1; some count points, some average pairs.
    """

    alphas: tuple[float, ...] = (0.1, 0.05, 0.15)
    reference: Reference = "image"
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        """Refuse alphas that are no shares."""
        if not self.alphas or not all(alpha > 0 for alpha in self.alphas):
            raise SettingsError("one or more alphas above 0", str(self.alphas), "Correct the alphas.")

    def in_words(self) -> str:
        """The rule in a sentence, for every place that shows a figure."""
        side = "image B" if self.reference == "image" else "the object's box in image B"
        return (
            f"correct within alpha x the longer side of {side}; "
            "per point: share of all points; per pair: mean of the pairs' shares"
        )


@dataclass(frozen=True)
class TransferredPair:
    """One pair after transfer: P predicted and true pixels in B, and B's reference length in pixels."""

    category: str
    xy_predicted: Float[np.ndarray, "P 2"]
    xy_true: Float[np.ndarray, "P 2"]
    reference_length: float


def score_transfer(pairs: Sequence[TransferredPair], rule: TransferRule) -> dict[str, Any]:
    """PCK by category, and the mean over categories, as plain data.

    For each: numbers of pairs and points; `per_point` and `per_pair` map each alpha to the share with its bootstrap
    interval over pairs (the mean over categories has none). The rule stands beside them.

    Raises:
        EmptyInstanceError: no pairs.
    """
    if not pairs:
        raise EmptyInstanceError(
            "at least one pair", "none", "Name a model for a category that the pairs have."
        )
    n_points = np.array([[len(pair.xy_true)] for pair in pairs], dtype=np.float64)
    correct = np.array(
        [
            [
                correct_points(pair.xy_predicted, pair.xy_true, alpha, pair.reference_length).sum()
                for alpha in rule.alphas
            ]
            for pair in pairs
        ],
        dtype=np.float64,
    )
    share = correct / n_points
    statistics = [
        RatioOfSums(correct, np.broadcast_to(n_points, correct.shape)),
        RatioOfSums(share, np.ones_like(share)),
    ]
    categories = sorted({pair.category for pair in pairs})
    figures: dict[str, Any] = {}
    for category in categories:
        members = np.array([pair.category == category for pair in pairs])
        intervals = bootstrap_intervals(statistics, members, rule.bootstrap)
        figures[category] = {"pairs": int(members.sum()), "points": int(n_points[members].sum())} | {
            name: {f"{alpha:g}": asdict(one) for alpha, one in zip(rule.alphas, row, strict=True)}
            for name, row in zip(("per_point", "per_pair"), intervals, strict=True)
        }
    figures[MEAN] = {"pairs": len(pairs), "points": int(n_points.sum())} | {
        name: {
            f"{alpha:g}": {
                "value": float(np.mean([figures[c][name][f"{alpha:g}"]["value"] for c in categories]))
            }
            for alpha in rule.alphas
        }
        for name in ("per_point", "per_pair")
    }
    return {
        "rule": rule.in_words(),
        "reference": rule.reference,
        "alphas": list(rule.alphas),
        "figures": figures,
    }
