"""`densecorr demo`: the whole product on the embedded default, with exact truth to score it by."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .demo_pipeline import CATEGORIES, SIZES, pipeline_text

if TYPE_CHECKING:
    from .session import Session

METHODS = {
    "chance": "chance",
    "position prior": "position_prior",
    "zero-shot": "zero_shot",
    "trained on pseudo-labels": "trained_on_pseudo_labels",
    "trained on truth": "trained_on_truth",
}

# The end of an artifact's tag, `demo-person-data`: the stage that made it.
TAGGED = {
    "": "train",
    "-data": "ingest",
    "-labels": "labels",
    "-template": "template",
    "-synthetic": "synthesise",
}


@dataclass(frozen=True)
class Demo:
    """Render people and quadrupeds, label them zero-shot, train on the labels, and score everything against the truth.

    Takes from the store what is there already; stop it at any time and start it again.
    """

    size: Literal["small", "standard", "full"] = "standard"
    """small: under 2 minutes, to see that all works; its figures mean nothing. full: more data, longer training."""
    full: bool = False
    """The full size with seeds 0, 1 and 2 (up to 40 minutes on 2 cores)."""
    seed: int = 0
    """Of the rendered world, the labels and the training."""
    out: Path = Path("runs/demo")
    """Folder for the report, the pictures and summary.json."""

    def __call__(self, session: "Session") -> None:
        """Run, print the table, write summary.json and the reports."""
        if not self.full:
            self._run(session, self.size, self.seed, self.out)
            return
        summaries = [self._run(session, "full", seed, self.out / f"seed-{seed}") for seed in (0, 1, 2)]
        for category in CATEGORIES:
            gains = []
            for summary in summaries:
                zero_shot, trained = (
                    summary[category][name]["geodesic_error_228"]
                    for name in ("zero_shot", "trained_on_pseudo_labels")
                )
                gains.append(100 * (1 - trained / zero_shot))
            text = ", ".join(f"{gain:.1f} %" for gain in gains)
            print(
                f"{category}: geodesic error below zero-shot's by {text} (seeds 0, 1, 2); SHIC's margin is 31 %"
            )
        (self.out / "summary.json").write_text(json.dumps({"seeds": summaries}, indent=1) + "\n")

    def _run(self, session: "Session", size: str, seed: int, out: Path) -> dict:
        from .run_command import run_file

        out.mkdir(parents=True, exist_ok=True)
        pipeline = out / "pipeline.toml"
        pipeline.write_text(pipeline_text(SIZES[size], seed))
        results = run_file(pipeline, session)
        store = session.open_store()
        ids = {key: result.artifact_id for key, result in results.items()}
        metrics = {}
        for category in CATEGORIES:
            folder = store.path(ids[f"evaluate-{category}"])
            metrics[category] = json.loads((folder / "metrics.json").read_text())
            for name in ("report.html", "pictures.png"):
                shutil.copyfile(folder / name, out / f"{category}-{name}")
            for tag, stage in TAGGED.items():
                store.tag(f"demo-{category}{tag}", ids[f"{stage}-{category}"])
        summary = {category: summarise(metrics[category], seed) for category in CATEGORIES}
        (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        write_index(out, metrics, size)
        print(format_results(metrics))
        print(closing_lines(out))
        return summary


def summarise(metrics: dict, seed: int) -> dict:
    """One category's part of summary.json; gain is zero-shot minus trained on pseudo-labels, of 228."""
    out: dict = {}
    for name, key in METHODS.items():
        group = metrics["methods"][name]["overall"]
        figures = {figure: value["value"] for figure, value in group["figures"].items()}
        out[key] = {
            figure: figures[figure] for figure in ("geodesic_error_m", "geodesic_error_228", "pck_0.1")
        }
        out[key] |= {"gps_ap": figures["gps_ap"], "n_instances": group["n_instances"], "seed": seed}
    gain = next(
        c["difference"]
        for c in metrics["comparisons"]
        if (c["method_a"], c["method_b"]) == ("zero-shot", "trained on pseudo-labels")
    )
    out["gain_interval"] = [gain["low"], gain["high"]]
    out["label_reliability"] = metrics.get("label_reliability")
    return out


def table_rows(metrics: dict) -> list[tuple[str, ...]]:
    """Method, geodesic error in metres and of 228 with its interval, PCK and GPS AP."""
    rows = []
    for name in METHODS:
        figures = metrics["methods"][name]["overall"]["figures"]
        error = figures["geodesic_error_228"]
        rows.append(
            (
                name,
                f"{figures['geodesic_error_m']['value']:.3f}",
                f"{error['value']:.1f} [{error['low']:.1f}, {error['high']:.1f}]",
                f"{100 * figures['pck_0.1']['value']:.1f}",
                f"{100 * figures['gps_ap']['value']:.1f}",
            )
        )
    return rows


HEADERS = ("method", "geodesic error, m", "of 228 [95 %]", "PCK 0.1, %", "GPS AP, %")


def format_results(metrics: dict[str, dict]) -> str:
    """The table, the six zero-shot variants, and what was gained, category by category."""
    from storage.reports import format_rows

    parts = []
    for category, figures in metrics.items():
        n_instances = figures["methods"]["chance"]["overall"]["n_instances"]
        parts.append(f"\n{category}: {n_instances} held-out images")
        parts.append(format_rows(HEADERS, table_rows(figures), right=(1, 2, 3, 4)))
        variants = (
            (name, f"{values['geodesic_error_228']:.1f}", f"{100 * values['pck_0.1']:.1f}")
            for name, values in figures["zero_shot_variants"].items()
        )
        parts.append(
            format_rows(("zero-shot: pooling, views", "of 228", "PCK 0.1, %"), list(variants), right=(1, 2))
        )
        parts.append(
            f"chosen without truth, by cycle error within the known azimuths: {figures['zero_shot_chosen']}"
        )
        for comparison in figures["comparisons"]:
            if comparison["method_b"] == "trained on pseudo-labels":
                gain = comparison["difference"]
                parts.append(
                    f"error below that of {comparison['method_a']} by {gain['value']:.1f} "
                    f"[{gain['low']:.1f}, {gain['high']:.1f}] of 228 (trained on pseudo-labels, paired 95 % interval)"
                )
        found = figures.get("label_reliability")
        if found:
            parts.append(
                f"pseudo-labels say which error to expect: off by {found['expected_calibration_error']:.1f} of 228 on "
                f"average (one error for all: {found['of_one_error_for_all']:.1f}), learnt on other images"
            )
        least = min(figures["gain_against_variants"].values(), key=lambda c: c["difference"]["value"])
        gain = least["difference"]
        parts.append(
            f"and below that of the best variant by truth by {gain['value']:.1f} "
            f"[{gain['low']:.1f}, {gain['high']:.1f}]"
        )
    return "\n".join(parts)


def write_index(out: Path, metrics: dict[str, dict], size: str) -> None:
    """report.html (tables of both categories, pictures, where the full reports are) and demo.png."""
    import numpy as np

    from densecorr.evaluation.report import Panel, PictureRow, ReportData, ReportTable, write_report
    from densecorr.images import read_image, write_png

    sheets = {category: read_image(out / f"{category}-pictures.png") for category in metrics}
    width = max(sheet.shape[1] for sheet in sheets.values())
    padded = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets.values()
    ]
    write_png(out / "demo.png", np.concatenate(padded))
    tables = [
        ReportTable(
            category,
            HEADERS,
            tuple(table_rows(figures)),
            f"Everything: {category}-report.html beside this file.",
        )
        for category, figures in metrics.items()
    ]
    notes = [
        "Rendered images with exact truth. Zero-shot uses the weight-free offline extractor: a baseline."
    ]
    if size == "small":
        notes.append("A small run: it shows that everything works; its figures mean nothing.")
    pictures = [
        PictureRow(category, (Panel("held-out images", sheet),)) for category, sheet in sheets.items()
    ]
    data = ReportData(
        title="densecorr demo", notes=tuple(notes), tables=tuple(tables), overlays=tuple(pictures)
    )
    write_report(out / "report.html", data)


def closing_lines(out: Path) -> str:
    """Where the report is, and how to look at the data in FiftyOne."""
    from annotation_ui.app import mongo_available

    available, reason = mongo_available()
    lines = [
        "",
        f"report: {out / 'report.html'}",
        "browse in FiftyOne: densecorr review open demo-person-data --labels demo-person-labels",
        "correct labels and train again: docs/review.md",
    ]
    if not available:
        lines.append(f"(FiftyOne needs MongoDB, which is not here: {reason})")
    return "\n".join(lines)
