"""The ablations' page: each row's error beside the base's, with seeds and intervals, and what the paper found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from densecorr.evaluation.geodesic import SHIC_SCALE

from .ablation_pipeline import LABELS, AblationSize, Row, labels_of

if TYPE_CHECKING:
    from storage.artifacts import Store

FIGURE = "geodesic_error_228"
N_RESAMPLES = 2000
# mean over the paper's animal categories, read from the published tables; not comparable in size, only in order
PAPER = {
    "base": 24.9,
    "mean": 26.6,
    "no-synthetic": 25.6,
    "no-pseudo": 65.8,
    "no-real": 33.8,
    "shaded": 25.2,
    "images-50": 34.7,
    "images-200": 29.8,
    "images-500": 24.9,
    "images-2000": 22.3,
}
MEANINGLESS = (
    "Table 5's row `w/o SD` (DINO alone against DINO with Stable Diffusion) is left out: without the real weights it "
    "would compare noise with noise. Everything here uses the offline extractor, which knows outlines and gradients."
)


@dataclass(frozen=True)
class SeedResult:
    """One seed: errors (N held-out instances) by row key, and the pseudo-labels' own mean error by label key."""

    seed: int
    errors: dict[str, Float[np.ndarray, " N"]]
    labels: dict[str, float]
    seconds: dict[str, float]


def read_seed(store: "Store", ids: dict[str, str], rows: Sequence[Row], seed: int) -> SeedResult:
    """The figures of one finished pipeline: per-instance errors of each model, and those of each label set."""
    import pandas as pd

    table = pd.read_parquet(store.path(ids["evaluate"]) / "per_instance.parquet")
    trained = [name for name in dict.fromkeys(table["method"]) if is_model(name)]
    by_method = {name: group.set_index("instance_id")[FIGURE] for name, group in table.groupby("method")}
    order = by_method[trained[0]].index
    errors = {
        row.key: by_method[name].loc[order].to_numpy(dtype=np.float64)
        for row, name in zip(rows, trained, strict=True)
    }
    errors["zero-shot"] = by_method["zero-shot"].loc[order].to_numpy(dtype=np.float64)
    labels = {row.key: label_error(store, ids, row) for row in rows if labels_of(row, rows[0]) == row.key}
    seconds = {row.key: store.manifest(ids[f"train-{row.key}"]).wall_time_s for row in rows}
    return SeedResult(seed, errors, labels, seconds)


def is_model(name: str) -> bool:
    """Whether a method of the evaluation is a trained model that was given silhouettes."""
    return name.startswith("trained on pseudo-labels") and not name.endswith("image only")


def label_error(store: "Store", ids: dict[str, str], row: Row) -> float:
    """Mean geodesic error of the pseudo-labels near annotated points of the training images."""
    from densecorr.templates.template import read_template

    from .confidence import match_truth

    known = match_truth(
        store.path(ids[f"ingest-{row.images}"]),
        store.path(ids[f"labels-{row.key}"]),
        read_template(store.path(ids["template"])),
        "person",
        "train",
        0.02,
    )
    return float(SHIC_SCALE * known.error.mean())


def difference(results: Sequence[SeedResult], key: str, base: str = "base") -> tuple[float, float, float]:
    """Mean of a row's error less the base's, paired by image, and its 95 % interval over seeds and images."""
    paired = [result.errors[key] - result.errors[base] for result in results]
    rng = np.random.default_rng(0)
    means = []
    for _ in range(N_RESAMPLES):
        seeds = rng.integers(len(paired), size=len(paired))
        means.append(np.mean([rng.choice(paired[s], len(paired[s])).mean() for s in seeds]))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.mean([p.mean() for p in paired])), float(low), float(high)


def verdict(key: str, ours: tuple[float, float, float]) -> str:
    """What the paper found for the same change, and whether it is so here; 'not clear' when the interval has zero."""
    if key not in PAPER or key == "base":
        return ""
    theirs = PAPER[key] - PAPER["base"]
    if theirs == 0:
        return "the paper's base"
    mean, low, high = ours
    if low <= 0 <= high:
        return f"{theirs:+.1f} there; not clear here"
    return f"{theirs:+.1f} there; {'the same order' if mean * theirs > 0 else '**the other way round** here'}"


def table_lines(rows: Sequence[Row], results: Sequence[SeedResult]) -> list[str]:
    """One Markdown row a variant."""
    lines = [
        "| table | variant | error of 228, mean | by seed | less base [95 %] | labels' own error | paper |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        by_seed = [float(result.errors[row.key].mean()) for result in results]
        own = [result.labels[row.key] for result in results if row.key in result.labels]
        change = difference(results, row.key)
        lines.append(
            f"| {row.table} | {row.name} | {np.mean(by_seed):.1f} | "
            + ", ".join(f"{value:.1f}" for value in by_seed)
            + (
                " | | "
                if row.key == "base"
                else f" | {change[0]:+.1f} [{change[1]:+.1f}, {change[2]:+.1f}] | "
            )
            + (f"{np.mean(own):.1f}" if own else "as base")
            + f" | {verdict(row.key, change)} |"
        )
    return lines


def orderings(rows: Sequence[Row], results: Sequence[SeedResult]) -> list[str]:
    """In words: which changes are clear, and where the order is not the paper's."""
    keyed = {row.key: row for row in rows if row.key != "base"}
    changes = {key: difference(results, key) for key in keyed}
    worse = [keyed[key].name for key, (_, low, _) in changes.items() if low > 0]
    better = [keyed[key].name for key, (_, _, high) in changes.items() if high < 0]
    unclear = [keyed[key].name for key, (_, low, high) in changes.items() if low <= 0 <= high]
    other = [keyed[key].name for key, change in changes.items() if "other way" in verdict(key, change)]
    parts = (("Clearly worse than the base", worse), ("Clearly better", better), ("Not clear", unclear))
    lines = [f"- {what}: {'; '.join(names) or 'none'}." for what, names in parts]
    lines.append(f"- The other way round than in the paper: {'; '.join(other) or 'none'}.")
    return lines


def write_page(out: Path, rows: Sequence[Row], results: Sequence[SeedResult], size: AblationSize) -> str:
    """Write ablations.md and ablations.json; the page."""
    zero_shot = [float(result.errors["zero-shot"].mean()) for result in results]
    gain = difference(results, "base", "zero-shot")
    seconds = [value for result in results for value in result.seconds.values()]
    page = "\n".join(
        [
            "# Ablations: what each part of SHIC is worth on rendered people",
            "",
            f"Made by `densecorr ablations` (seeds {', '.join(str(result.seed) for result in results)}). Each row "
            f"trains the compact CPU model on crops of {size.crop_size} pixels for {size.steps} steps, on "
            f"{size.images} rendered people (Table 6: as said) with pseudo-labels of the offline extractor, "
            f"{size.synthetic} procedural synthetic images and all five losses, and changes one thing. Mean geodesic "
            f"error on {size.n_val} held-out images a seed, on SHIC's scale (the largest distance is 228; lower is "
            "better). The difference to the base is paired by image; its "
            f"interval ({N_RESAMPLES} resamples) is over seeds and images together. A training took "
            f"{np.median(seconds):.0f} s in the median and {np.max(seconds):.0f} s at most.",
            "",
            f"Zero-shot with max pooling, on the same images: {np.mean(zero_shot):.1f}; the base is "
            f"{-gain[0]:.1f} [{-gain[2]:.1f}, {-gain[1]:.1f}] lower.",
            "",
            *table_lines(rows, results),
            "",
            *orderings(rows, results),
            "",
            "## How to read it",
            "",
            "- *labels' own error* is that of the pseudo-labels on the training images, before any training.",
            "- *paper* gives the published change against 24.9, the mean over SHIC's animal categories with real "
            "images, SD-DINO features and 40 epochs. Sizes cannot be compared, orders can.",
            "- Photographs here are renders too: the synthetic images are closer to them than renders are to real "
            "photographs, so training without labels of photographs costs far less than in the paper.",
            "- Leaving out one of its losses costs the paper between 0.7 and 2.4 (Table 4).",
            "- Views are those within the data's azimuths (-60 to 60 degrees) of as many around the template.",
            "- All rows have the same number of steps: more images are then seen less often each.",
            f"- {MEANINGLESS}",
            "- Silhouettes of the data set are given to zero-shot matching and to the models.",
            "",
        ]
    )
    (out / "ablations.md").write_text(page)
    (out / "ablations.json").write_text(json.dumps(as_plain(rows, results), indent=1) + "\n")
    return page


def as_plain(rows: Sequence[Row], results: Sequence[SeedResult]) -> dict[str, Any]:
    """Every figure of the page as plain data."""
    change = partial(difference, results)
    return {
        "seeds": [result.seed for result in results],
        "zero_shot": [round(float(result.errors["zero-shot"].mean()), 3) for result in results],
        "rows": {
            row.key: {
                "table": row.table,
                "name": row.name,
                "views_and_pooling": list(LABELS[row.labels]),
                "images": row.images,
                "error_228": [round(float(result.errors[row.key].mean()), 3) for result in results],
                "less_base": [round(value, 3) for value in change(row.key)],
                "label_error_228": [round(r.labels[row.key], 3) for r in results if row.key in r.labels],
                "training_s": [round(result.seconds[row.key], 1) for result in results],
            }
            for row in rows
        },
    }
