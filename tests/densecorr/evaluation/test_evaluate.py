import json
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import trimesh
from numpy.testing import assert_allclose

from densecorr.config import from_jsonable, to_jsonable
from densecorr.errors import AnnotationError, SettingsError
from densecorr.evaluation import GeodesicError, GpsAveragePrecision, LeftRightConfusion, Pck
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.evaluation.chance import predict_by_chance
from densecorr.evaluation.evaluate import (
    EvaluationSettings,
    bucket_names,
    compare,
    evaluate_methods,
    visibility_buckets,
    worst_instances,
)
from densecorr.evaluation.metrics import write_metrics
from densecorr.evaluation.scored import ScoringTemplate
from densecorr.templates import TemplateSettings, build_template, geodesic_rows

QUICK = EvaluationSettings(bootstrap=BootstrapSettings(n_resamples=100))


@pytest.fixture(scope="module")
def truths(make_truth):
    rng = np.random.default_rng(0)
    return [
        make_truth(
            rng.integers(0, 41, 8),
            f"w/{index}",
            category="cat" if index % 3 else "dog",
            visible_share=[0.3, 0.7, 0.95, None][index % 4],
            area=[500.0, 5000.0, 50000.0][index % 3],
            azimuth=[-100.0, 10.0, None, 179.0, 44.0, 45.0][index % 6],
            source="human",
        )
        for index in range(12)
    ]


@pytest.fixture(scope="module")
def results(truths, segment, make_prediction):
    close = [
        make_prediction(t, vertex=np.minimum(t.vertex + 1, 40), score=0.1 * i) for i, t in enumerate(truths)
    ]
    methods = {
        "perfect": [make_prediction(truth, silhouette_iou=1.0) for truth in truths],
        "close": close,
        "chance": [predict_by_chance(truth, 41, 0) for truth in truths],
        "silent": [],
    }
    return evaluate_methods(truths, methods, segment.rows, segment, QUICK)


def test_the_perfect_method_is_perfect(results) -> None:
    figures = {name: interval.value for name, interval in results["perfect"].overall.figures.items()}
    for name in ("gps_ap", "gps_ar", "gpsm_ap", "pck_0.1", "rcp_auc_10", "rcp_auc_30"):
        assert_allclose(figures[name], 1.0)
    for name in ("geodesic_error_m", "geodesic_error_228", "left_right_confusion", "missing_share"):
        assert figures[name] == 0.0
    assert_allclose(results["perfect"].error_curve, 1.0)


def test_the_silent_method_has_the_worst_of_everything(results) -> None:
    figures = {name: interval.value for name, interval in results["silent"].overall.figures.items()}
    assert_allclose(figures["geodesic_error_228"], 228.0)
    for name in ("gps_ap", "gps_ar", "pck_0.1", "rcp_auc_30"):
        assert figures[name] == 0.0
    assert figures["missing_share"] == figures["left_right_confusion"] == 1.0
    assert_allclose(results["silent"].error_curve, 0.0)
    for other in ("perfect", "close", "chance"):
        assert results[other].overall.figures["geodesic_error_228"].value < 228.0


def test_missing_points_never_arrive_on_the_curve(segment, make_truth, make_prediction) -> None:
    truth = make_truth([0, 10, 20, 30])
    half = {"m": [make_prediction(truth, vertex=[0, 14, -1, -1])]}
    curve = evaluate_methods([truth], half, segment.rows, segment, QUICK)["m"].error_curve
    assert_allclose(curve[[0, 5, 20, -1]], [0.25, 0.25, 0.5, 0.5])  # 0.2 m of 2 m is 22.8 of 228


def test_methods_are_ordered_as_they_should_be(results) -> None:
    errors = [
        results[name].overall.figures["geodesic_error_228"].value for name in ("perfect", "close", "chance")
    ]
    assert errors == sorted(errors)
    assert errors[2] > 5 * errors[1]


def test_figures_agree_with_the_table(results) -> None:
    for result in results.values():
        table, figures = result.columns, result.overall.figures
        assert_allclose(table["geodesic_error_228"].mean(), figures["geodesic_error_228"].value)
        assert_allclose(np.average(table["pck_0.1"], weights=table["n_points"]), figures["pck_0.1"].value)
        for name, interval in figures.items():
            if interval.low is not None:
                assert interval.low <= interval.high, name


def test_groups_partition_the_instances(results) -> None:
    result = results["close"]
    for groups in (result.by_category, result.by_visibility, *result.by_slice.values()):
        assert sum(group.n_instances for group in groups.values()) == result.overall.n_instances == 12
        assert sum(group.n_points for group in groups.values()) == result.overall.n_points == 96
        weighted = sum(g.n_instances * g.figures["geodesic_error_228"].value for g in groups.values()) / 12
        assert_allclose(weighted, result.overall.figures["geodesic_error_228"].value)
    dog = result.columns["category"] == "dog"
    assert_allclose(
        result.by_category["dog"].figures["geodesic_error_228"].value,
        result.columns["geodesic_error_228"][dog].mean(),
    )
    values = [group.figures["gps_ap"].value for group in result.by_category.values()]
    assert_allclose(result.category_mean["gps_ap"], np.mean(values))
    assert_allclose(result.overall.figures["gps_ap"].value, np.mean(values))  # COCO averages categories, too


def test_slices_are_those_that_the_truths_tell_apart(results, truths) -> None:
    result = results["close"]
    counts = {
        by: {name: group.n_instances for name, group in groups.items()}
        for by, groups in result.by_slice.items()
    }
    assert counts == {
        "size": {"small": 4, "medium": 4, "large": 4},
        "viewpoint": {"front": 4, "left side": 2, "back": 2, "right side": 2, "unknown": 2},
    }
    assert list(counts["viewpoint"]) == ["front", "left side", "back", "right side", "unknown"]
    assert result.omitted_slices == {"source": "the source of all is human"}
    small = result.by_slice["size"]["small"].figures["geodesic_error_228"]
    rows = result.columns["size"] == "small"
    assert_allclose(small.value, result.columns["geodesic_error_228"][rows].mean())
    assert small.low <= small.value <= small.high
    assert result.columns["viewpoint"].tolist()[:3] == ["right side", "front", "unknown"]


def test_slices_that_the_data_do_not_know_are_left_out_with_a_reason(
    segment, make_truth, make_prediction
) -> None:
    some = [make_truth([3, 7], name) for name in "ab"]
    methods = {"m": [make_prediction(truth) for truth in some]}
    result = evaluate_methods(some, methods, segment.rows, segment, QUICK)["m"]
    assert result.by_slice == {}
    assert result.omitted_slices == {
        "size": "the size of all is medium",
        "viewpoint": "the data set does not know the viewpoint",
        "source": "the data set does not know the source",
    }


def test_buckets_have_readable_names_and_lower_edges_inside() -> None:
    assert bucket_names((0.5, 0.9)) == [
        "under 50% visible",
        "50% to 90% visible",
        "90% or more visible",
        "visibility unknown",
    ]
    found = visibility_buckets(np.array([0.0, 0.5, 0.9, 1.0, np.nan]), (0.5, 0.9))
    assert found.tolist() == [bucket_names((0.5, 0.9))[index] for index in (0, 1, 2, 2, 3)]
    assert visibility_buckets(np.array([0.4, np.nan]), ()).tolist() == [
        "any visibility",
        "visibility unknown",
    ]


def test_a_template_without_a_unit_gives_shares_only(truths, segment, make_prediction) -> None:
    perfect = {"m": [make_prediction(truth) for truth in truths]}
    result = evaluate_methods(truths, perfect, segment.rows, replace(segment, unit="none"), QUICK)["m"]
    assert "geodesic_error_share" in result.overall.figures
    assert not {"geodesic_error_m", "gps_ap", "rcp_auc_30"} & set(result.overall.figures)
    assert "unit" in result.omitted["gps_ap"]
    assert "unit" in result.omitted["rcp_auc_30"]
    assert "unit" in result.omitted["geodesic_error_m"]


def test_comparing_is_antisymmetric_and_needs_the_same_instances(
    results, truths, segment, make_prediction
) -> None:
    ab, ba = compare(results["close"], results["chance"]), compare(results["chance"], results["close"])
    assert ab.difference.high < 0 < ba.difference.low
    assert_allclose(ab.difference.value, -ba.difference.value)
    assert ab.a_lower_share > ba.a_lower_share
    few = evaluate_methods(
        truths[:3], {"m": [make_prediction(t) for t in truths[:3]]}, segment.rows, segment, QUICK
    )
    with pytest.raises(AnnotationError, match="same instances"):
        compare(results["close"], few["m"])
    with pytest.raises(AnnotationError, match="gpsm"):
        compare(results["perfect"], results["close"], "gpsm")


def test_worst_instances_come_first(results) -> None:
    worst = worst_instances(results["chance"], 3)
    by_id = dict(
        zip(
            results["chance"].columns["instance_id"],
            results["chance"].columns["geodesic_error_228"],
            strict=True,
        )
    )
    assert [by_id[name] for name in worst] == sorted(by_id.values(), reverse=True)[:3]


def test_on_a_real_template_errors_are_great_circles(make_truth, make_prediction) -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)  # radius 1 m
    V, F = np.array(ball.vertices, dtype=np.float64), np.array(ball.faces, dtype=np.int64)
    template = build_template(
        V, F, "ball-v1", TemplateSettings(n_eigenpairs=8, n_coarse=60, geodesics="exact")
    )
    assert isinstance(template, ScoringTemplate)
    rng = np.random.default_rng(0)
    truth = make_truth(rng.integers(0, len(V), 60))
    guess = rng.integers(0, len(V), 60)
    angle = np.arccos(np.clip((V[truth.vertex] * V[guess]).sum(axis=1), -1.0, 1.0))
    rows = partial(geodesic_rows, template)
    result = evaluate_methods([truth], {"m": [make_prediction(truth, vertex=guess)]}, rows, template, QUICK)[
        "m"
    ]
    figures = result.overall.figures
    assert_allclose(figures["geodesic_error_m"].value, angle.mean(), rtol=0.02)
    assert_allclose(figures["geodesic_error_228"].value, angle.mean() / np.pi * 228, rtol=0.03)
    sided = np.abs(np.arcsin(V[truth.vertex, 0])) > 0.05 * template.diameter
    wrong = np.sign(V[truth.vertex, 0]) * np.sign(V[guess, 0]) < 0
    assert_allclose(figures["left_right_confusion"].value, wrong[sided].mean(), atol=0.05)


def test_a_metric_listed_twice_is_refused(truths, segment, make_prediction) -> None:
    twice = replace(QUICK, metrics=(GeodesicError(), GeodesicError()))
    with pytest.raises(SettingsError, match="twice"):
        evaluate_methods(truths, {"m": [make_prediction(t) for t in truths]}, segment.rows, segment, twice)


def test_settings_survive_json() -> None:
    settings = EvaluationSettings(
        metrics=(Pck(alphas=(0.05, 0.01)), GpsAveragePrecision(similarity="gpsm"), LeftRightConfusion())
    )
    assert from_jsonable(EvaluationSettings, json.loads(json.dumps(to_jsonable(settings)))) == settings


def test_files_hold_what_was_measured(results, tmp_path) -> None:
    comparison = compare(results["close"], results["chance"])
    write_metrics(tmp_path, results, [comparison], {"template_id": "segment-v1"})
    data = json.loads((tmp_path / "metrics.json").read_text())
    assert data["template_id"] == "segment-v1"
    stored = data["methods"]["close"]["overall"]["figures"]["geodesic_error_228"]
    assert_allclose(stored["value"], results["close"].overall.figures["geodesic_error_228"].value, rtol=1e-5)
    assert data["methods"]["close"]["omitted"]["gpsm_ap"]
    assert data["comparisons"][0]["n_instances"] == 12
    table = pq.read_table(tmp_path / "per_instance.parquet")
    assert table.num_rows == 4 * 12
    rows = table.to_pandas()
    assert rows.loc[rows.method == "silent", "score"].isna().all()
    assert_allclose(
        rows.loc[rows.method == "chance", "geodesic_error_228"],
        results["chance"].columns["geodesic_error_228"],
    )


def test_same_input_same_bytes(truths, segment, make_prediction, tmp_path) -> None:
    for name in ("a", "b"):
        methods = {"m": [make_prediction(truth) for truth in truths]}
        (tmp_path / name).mkdir()
        write_metrics(tmp_path / name, evaluate_methods(truths, methods, segment.rows, segment, QUICK))
    for file in ("metrics.json", "per_instance.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_results_are_written_as_none(tmp_path) -> None:
    write_metrics(tmp_path, {})
    assert json.loads((tmp_path / "metrics.json").read_text())["methods"] == {}
    assert not (tmp_path / "per_instance.parquet").exists()
