"""`densecorr transfer`: PCK of keypoints carried from one image to another by trained models."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from densecorr.errors import DatasetNotFoundError, SettingsError

from .session import say

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Transfer:
    """Carry keypoints from image A to image B of each pair and score them (PCK): PF-PASCAL, SPair-71k.

    Prints a table by category and writes the figures, with the rule they follow, as JSON.
    """

    pairs: Path
    """PF-PASCAL's test_pairs.csv (as published with NCNet), or SPair-71k's folder PairAnnotation/test."""
    images: Path
    """Folder of the images."""
    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """CATEGORY=MODEL, once for each category: a `train` artifact's id, prefix or tag, or its folder."""
    out: Path
    """JSON file to write."""
    method: Literal["vertex", "soft", "embedding"] = "vertex"
    """Through the best vertex, through the probabilities of all vertices, or from embedding to embedding."""
    reference: Literal["image", "bbox"] = "image"
    """Thresholds are shares of the longer side of image B (PF-PASCAL), or of the object's box in it (SPair-71k)."""
    alphas: tuple[float, ...] = (0.1, 0.05, 0.15)
    """The shares."""
    boxes: Path | None = None
    """COCO file whose boxes to use, found by file name; without, the pairs' own boxes, else whole images."""
    silhouettes: bool = False
    """Tell the models the silhouettes of the COCO file, where it has them; without, they find their own."""
    device: str = "cpu"
    """Where the models run: cpu, cuda, cuda:1."""

    def __call__(self, session: "Session") -> None:
        """Transfer, print and write everything."""
        from densecorr.datasets.pairs import read_pairs
        from densecorr.evaluation.transfer import TransferRule, score_transfer
        from densecorr.models import load_predictor

        from .predict import model_folder
        from .progress import StageProgress
        from .transfer_work import PairTransfer

        if self.silhouettes and self.boxes is None:
            raise SettingsError(
                "a COCO file whose silhouettes to use",
                "none",
                "Name it with --boxes, or leave --silhouettes out.",
            )
        rule = TransferRule(self.alphas, self.reference)
        named = named_categories(self.model)
        pairs = read_pairs(self.pairs)
        wanted = [pair for pair in pairs if pair.category in named]
        unknown = set(named) - {pair.category for pair in pairs}
        if unknown:
            raise SettingsError(
                f"categories of the pairs: {', '.join(sorted({pair.category for pair in pairs}))}",
                ", ".join(sorted(unknown)),
                "Correct --model CATEGORY=MODEL.",
            )
        if not self.images.is_dir():
            raise DatasetNotFoundError("a folder of images", f"no folder {self.images}", "Correct --images.")
        models = {
            name: load_predictor(model_folder(text, session), self.device) for name, text in named.items()
        }
        work = PairTransfer(models, self.images, self.method, self.reference, self.boxes, self.silhouettes)
        results = []
        with StageProgress("transfer") as progress:
            for number, pair in enumerate(sorted(wanted, key=lambda pair: pair.category)):
                progress(number, len(wanted), pair.category)
                results.append(work(pair))
        scores = score_transfer(results, rule)
        skipped = Counter(pair.category for pair in pairs if pair.category not in named)
        said = {
            "method": self.method,
            **scores,
            "skipped_without_model": dict(sorted(skipped.items())),
            "whole_images_as_boxes": work.n_whole,
            "points_outside_images": work.n_outside,
            "models": named,
            "settings": {"bootstrap": asdict(rule.bootstrap), "silhouettes": self.silhouettes}
            | {name: str(getattr(self, name) or "") for name in ("pairs", "images", "boxes")},
        }
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        print(format_scores(said))
        if work.n_outside:
            say(
                f"note: {work.n_outside} keypoints lie outside their images; "
                "are these the images that the pairs were made for, at that size?"
            )


def named_categories(texts: tuple[str, ...]) -> dict[str, str]:
    """Category to model, of texts such as `horse=5cf954`.

    Raises:
        SettingsError: none, one of another form, or a category twice.
    """
    named: dict[str, str] = {}
    for text in texts:
        category, _, model = text.partition("=")
        if not category or not model or category in named:
            raise SettingsError(
                "CATEGORY=MODEL, each category once", repr(text), "For example --model horse=5cf954."
            )
        named[category] = model
    if not named:
        raise SettingsError("a model", "none", "Name one for each category: --model horse=5cf954.")
    return named


def format_scores(said: dict[str, Any]) -> str:
    """The figures as a table in percent under their rule, with 95 % intervals in the JSON only."""
    alphas = [f"{alpha:g}" for alpha in said["alphas"]]
    header = ["category", "pairs", "points"]
    header += [f"{alpha} {kind}" for kind in ("per point", "per pair") for alpha in alphas]
    rows = [header] + [
        [name, str(row["pairs"]), str(row["points"])]
        + [f"{100 * row[kind][alpha]['value']:.1f}" for kind in ("per_point", "per_pair") for alpha in alphas]
        for name, row in said["figures"].items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    skipped = said["skipped_without_model"]
    if skipped:
        left_out = ", ".join(f"{name} ({n})" for name, n in skipped.items())
        lines.append(f"left out, no model: {sum(skipped.values())} pairs of {left_out}")
    return "\n".join([f"PCK in %, method {said['method']}: {said['rule']}", *lines])
