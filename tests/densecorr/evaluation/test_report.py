import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.evaluation.charts import curve_chart, histogram_chart, nice_ticks
from densecorr.evaluation.evaluate import EvaluationSettings, compare, evaluate_methods
from densecorr.evaluation.meanings import format_figure, headline_figures, meaning_of
from densecorr.evaluation.report import (
    Distribution,
    Panel,
    PictureRow,
    ReportData,
    ReportTable,
    picture_uri,
    render_report,
    write_report,
)
from densecorr.evaluation.report_tables import column_texts

NASTY = '<script src="http://evil.example/x.js">cow</script>'
QUICK = EvaluationSettings(bootstrap=BootstrapSettings(n_resamples=50))


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.text += data


@pytest.fixture(scope="module")
def results(segment, make_truth, make_prediction):
    rng = np.random.default_rng(0)
    truths = [
        make_truth(
            rng.integers(0, 41, 6),
            f"i{k}",
            category=NASTY if k % 2 else "dog",
            visible_share=k / 8,
            azimuth=90.0 * (k % 3),
        )
        for k in range(8)
    ]
    methods = {
        "trained": [
            make_prediction(t, vertex=np.minimum(t.vertex + 2, 40), silhouette_iou=0.8) for t in truths
        ],
        "zero-shot": [make_prediction(t, vertex=np.minimum(t.vertex + 9, 40)) for t in truths],
    }
    return evaluate_methods(truths, methods, segment.rows, segment, QUICK)


@pytest.fixture(scope="module")
def full(results) -> ReportData:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    row = PictureRow(NASTY, (Panel("truth", picture), Panel(NASTY, picture)), "fact")
    return ReportData(
        title=f"Report {NASTY}",
        subtitle="sub",
        results=results,
        comparisons=(compare(results["trained"], results["zero-shot"]),),
        counts={"images": 8},
        notes=("offline extractor is a baseline",),
        missing={"Epipolar error": "one view only"},
        tables=(ReportTable("Variants", ("name", "error"), (("a", 1.5), ("b", None), ("c", 2.25))),),
        distributions=(Distribution("Score", "score", np.array([0.1, 0.5, np.nan])),),
        overlays=(row,),
        worst=(row,),
        settings=QUICK,
        lineage=NASTY,
    )


def assert_fetches_nothing(text: str) -> None:
    for tag, attributes in Page(text).tags:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        assert "url(" not in (attributes.get("style") or "")
    for style in re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL):
        assert "url(" not in style
        assert "@import" not in style
        assert "http" not in style


def test_nothing_is_fetched_and_text_is_escaped(full) -> None:
    text = render_report(full)
    assert_fetches_nothing(text)
    assert "<script" not in text
    assert Page(text).text.count(NASTY) >= 5  # shown as text: title, headings, category, lineage
    assert "default-src 'none'" in text


def test_every_part_is_there(full) -> None:
    text = Page(render_report(full)).text
    for part in (
        "Summary",
        "Cumulative error",
        "Variants",
        "Examples",
        "Worst cases",
        "By category",
        "By visibility",
        "By viewpoint",
        "left side",
        "slices by size: the size of all is medium",
    ):
        assert part in text
    for part in (
        "mean over categories",
        "Epipolar error",
        "one view only",
        "offline extractor is a baseline",
    ):
        assert part in text
    assert "GPSm AP" in text
    assert "the method predicts no silhouette (zero-shot)" in text
    assert "longer side of the box" in text  # PCK's rule is always printed
    assert "50 resamples" in text


def test_values_and_intervals_are_those_of_the_results(full, results) -> None:
    text = Page(render_report(full)).text
    interval = results["trained"].overall.figures["geodesic_error_228"]
    assert f"{interval.value:.1f}" in text
    assert f"{interval.low:.1f}\u2013{interval.high:.1f}" in text


def test_the_best_of_a_column_is_marked(full) -> None:
    row = re.search(r'<th scope="row">trained</th>(.*?)</tr>', render_report(full), flags=re.DOTALL)
    assert row is not None
    assert row[1].startswith('<td class="best">')


def test_pictures_come_back_out(full) -> None:
    page = Page(render_report(full))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 4
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(sources[0].split(",")[1]))))
    assert (image == full.overlays[0].panels[0].image).all()


def test_large_pictures_become_jpeg() -> None:
    assert picture_uri(np.zeros((400, 400, 3), dtype=np.uint8)).startswith("data:image/jpeg;base64,")


def test_without_truth_it_says_what_is_missing_and_why(full, tmp_path) -> None:
    untrue = ReportData(
        title="Pseudo-labels",
        counts={"labels": 7},
        missing={"Geodesic error": "no true vertices", "GPS AP": "no true vertices"},
        distributions=full.distributions,
        overlays=full.overlays,
    )
    write_report(tmp_path / "report.html", untrue)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert_fetches_nothing(text)
    shown = Page(text).text
    assert "No true correspondences" in shown
    assert "Geodesic error, GPS AP: no true vertices" in shown
    assert "2 values" in shown
    assert "1 without a value" in shown
    assert "Summary" not in shown
    assert "Cumulative error" not in shown


def test_an_empty_report_is_still_a_page() -> None:
    assert "Nothing" in Page(render_report(ReportData("Nothing"))).text


def test_same_data_same_bytes(full) -> None:
    assert render_report(full) == render_report(full)


def test_figures_are_printed_by_their_meaning() -> None:
    assert format_figure("geodesic_error_228", 21.456) == "21.5"
    assert format_figure("gps_ap", 0.5) == "50.0"
    assert format_figure("pck_0.1", 0.5) == "50.0%"
    assert format_figure("geodesic_error_228", -0.3) == "\u22120.3"
    assert format_figure("gps_ap", None) == "\u2013"
    assert meaning_of("gpsm_ar75").label == "GPSm AR75"
    assert "recall" in meaning_of("gps_ar").definition
    assert meaning_of("rcp_auc_30").better == "higher"
    assert headline_figures(["gps_ap", "pck_0.05", "pck_0.1", "x"]) == ["pck_0.1", "pck_0.05", "gps_ap"]


def test_columns_of_fractions_line_up() -> None:
    assert column_texts([("a", 42.4, 1), ("b", 44.0, 2), ("c", None, 3)]) == [
        ["a", "42.4", "1"],
        ["b", "44.0", "2"],
        ["c", "\u2013", "3"],
    ]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 228.0), (-3.0, 0.02), (0.0, 1e-6), (5.0, 6.0)])
def test_ticks_are_round_and_span_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-9 * step
    assert ticks[-1] >= high - 1e-9 * step
    assert 3 <= len(ticks) <= 14
    assert round(step / 10.0 ** np.floor(np.log10(step) + 1e-9), 6) in (1, 2, 5)


def test_the_curve_is_cut_where_all_have_arrived_and_stays_in_its_frame() -> None:
    x = np.linspace(0.0, 228.0, 115)
    chart = curve_chart(x, {"a": np.minimum(x / 40, 1.0), "b": np.minimum(x / 80, 1.0)}, "x", "y")
    assert [tick.label for tick in chart.x_ticks] == ["0", "20", "40", "60", "80"]
    points = np.array([[float(v) for v in p.split(",")] for line in chart.lines for p in line.points.split()])
    assert (points >= [chart.left - 0.1, chart.top - 0.1]).all()
    assert (points <= [chart.right + 0.1, chart.bottom + 0.1]).all()
    whole = curve_chart(x, {"a": np.full(115, 0.5)}, "x", "y")
    assert float(whole.x_ticks[-1].label) <= 228.0


def test_bars_count_every_finite_value() -> None:
    values = np.r_[np.random.default_rng(0).normal(size=500), np.nan, np.inf]
    chart = histogram_chart(values, "x")
    assert sum(int(bar.title.rsplit(": ", 1)[1]) for bar in chart.bars) == 500
    for empty in (np.zeros(0), np.full(3, np.nan), np.full(3, 2.0)):
        assert len(histogram_chart(empty, "x").x_ticks) >= 2
