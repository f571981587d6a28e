"""The report: one HTML file that opens anywhere, offline, in light and dark, with every picture inside it."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..config import to_jsonable
from .charts import Chart, curve_chart, histogram_chart, line_chart
from .evaluate import CURVE_228, Comparison, MethodResult
from .report_tables import (
    Cell,
    category_tables,
    cell_text,
    column_texts,
    comparison_words,
    every_figure,
    headline_table,
    missing_figures,
    protocol_lines,
    slice_tables,
)

_PNG_PIXELS = 256 * 256  # larger pictures are photographs as a rule, and JPEG is a fifth of the size


@dataclass(frozen=True)
class Panel:
    """One picture and the words under it."""

    caption: str
    image: UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class PictureRow:
    """Pictures of one instance side by side: image, truth, each method."""

    title: str
    panels: tuple[Panel, ...]
    facts: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table given as it is; a cell is text, a number or None."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Distribution:
    """Values shown as a histogram: scores, margins, cycle distances; NaN is left out and counted."""

    title: str
    x_label: str
    values: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class Curves:
    """Lines in one chart, each (x, y) by name, such as a reliability diagram; values are not negative."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, tuple[np.ndarray, np.ndarray]]
    note: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything a report can show; what is empty is left out.

    `missing` says which figures the report lacks and why, and is required reading when there is no truth:
    `results` is then empty and the report consists of counts, distributions and overlays. `lineage` is text
    such as `densecorr store lineage` prints.
    """

    title: str
    subtitle: str = ""
    results: Mapping[str, MethodResult] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    counts: Mapping[str, Cell] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[ReportTable, ...] = ()
    curves: tuple[Curves, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    overlays: tuple[PictureRow, ...] = ()
    overlays_title: str = "Examples"
    worst: tuple[PictureRow, ...] = ()
    settings: Any = None
    lineage: str = ""


def page_environment() -> Any:
    """The jinja2 environment of the pages in this folder: texts are escaped, a missing value is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_report(path: Path, data: ReportData) -> None:
    """Write the HTML report: inline style and charts, pictures as data, no script, nothing fetched."""
    path.write_text(render_report(data), encoding="utf-8")


def render_report(data: ReportData) -> str:
    """The report as HTML; every text in `data` is escaped."""
    environment = page_environment()
    environment.filters |= {"picture": picture_uri, "cell": cell_text}
    results = data.results
    return environment.get_template("report_template.html").render(
        data=data,
        summary=headline_table({name: result.overall for name, result in results.items()}),
        categories=category_tables(results),
        slices=slice_tables(results),
        every=every_figure(results),
        curve=_curve(results),
        curves=[(one, line_chart(one.series, one.x_label, one.y_label)) for one in data.curves],
        histograms=[
            (d, histogram_chart(d.values.astype(float), d.x_label), _counted(d)) for d in data.distributions
        ],
        comparisons=[comparison_words(comparison) for comparison in data.comparisons],
        protocol=[line for result in list(results.values())[:1] for line in protocol_lines(result.settings)],
        tables=[(table, column_texts(table.rows)) for table in data.tables],
        missing=missing_figures(data.missing, results),
        settings="" if data.settings is None else _indented_json(data.settings),
    )


def picture_uri(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """The image as a data URI: PNG when small, JPEG when it is the size of a photograph."""
    from PIL import Image

    buffer = io.BytesIO()
    if image.shape[0] * image.shape[1] <= _PNG_PIXELS:
        Image.fromarray(image).save(buffer, format="PNG", optimize=True)
        kind = "png"
    else:
        Image.fromarray(image).save(buffer, format="JPEG", quality=88)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _curve(results: Mapping[str, MethodResult]) -> Chart | None:
    if not results:
        return None
    series = {name: result.error_curve for name, result in results.items()}
    return curve_chart(CURVE_228, series, "geodesic error up to (of 228)", "share of points")


def _counted(distribution: Distribution) -> str:
    values = distribution.values.astype(float)
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return "no values"
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    unknown = f"; {len(values) - len(known)} without a value" if len(known) < len(values) else ""
    return f"{len(known)} values, median {middle:.3g}, 80% between {low:.3g} and {high:.3g}{unknown}"


def _indented_json(settings: Any) -> str:
    return json.dumps(to_jsonable(settings), indent=2, sort_keys=True, ensure_ascii=False)
