"""Landmark tables of the shipped shapes, and errors on a globe where the right answer is an angle."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.datasets.keypoints import KEYPOINT_SETS, KeypointSet
from densecorr.datasets.landmarks import (
    default_landmarks,
    format_landmarks,
    keypoint_landmarks,
    keypoint_vertices,
    landmark_errors,
    parse_landmarks,
    read_landmarks,
    summarise_errors,
)
from densecorr.errors import AnnotationError, DatasetNotFoundError
from densecorr.templates import Template, TemplateSettings, build_template, load_catalog_mesh
from densecorr.templates.body import load_body
from densecorr.templates.quadruped import build_quadruped

SET = KeypointSet("globe", ("pole", "left", "right"), (("left", "right"),))
CASES = {"body": ("coco",), "quadruped": ("ap10k", "animalpose", "zebra")}


@cache
def globe() -> Template:
    """A sphere of radius 1; its vertices include both ends of every axis."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    settings = TemplateSettings(n_eigenpairs=8, n_coarse=60, geodesics="exact")
    return build_template(np.array(ball.vertices), np.array(ball.faces), "globe-v1", settings)


def at(*direction: float) -> int:
    return int(np.argmax(globe().V @ (np.array(direction) / np.linalg.norm(direction))))


@cache
def shape_template(shape: str) -> Template:
    V, F = load_catalog_mesh(shape)
    return build_template(V, F, f"{shape}-v1", TemplateSettings(n_eigenpairs=4, n_coarse=20))


@pytest.mark.parametrize("shape", CASES)
def test_left_and_right_landmarks_are_mirror_vertices(shape: str) -> None:
    table = default_landmarks(shape_template(shape))
    assert table is not None
    V, _ = load_catalog_mesh(shape)
    mirror = load_body().mirror if shape == "body" else build_quadruped().mirror
    for name, vertex in table.items():
        if name.startswith("left_"):
            right = table["right_" + name.removeprefix("left_")]
            assert mirror[vertex] == right
            assert_allclose(V[vertex] * [-1, 1, 1], V[right], atol=1e-9)
            assert V[vertex, 0] > 0.02  # the subject's left is +x
        elif not name.startswith("right_"):
            assert_allclose(V[vertex, 0], 0, atol=1e-9)
    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize("shape", CASES)
def test_every_keypoint_has_a_vertex_on_its_shape(shape: str) -> None:
    table = default_landmarks(shape_template(shape))
    assert table is not None
    for name in CASES[shape]:
        landmarks = keypoint_landmarks(name)
        assert (keypoint_vertices(KEYPOINT_SETS[name], landmarks, table, shape_template(shape)) >= 0).all()


def test_landmarks_of_the_body_are_where_they_are() -> None:
    table = default_landmarks(shape_template("body"))
    assert table is not None
    body = load_body()
    x, y, z = ({name: body.V[vertex, k] for name, vertex in table.items()} for k in range(3))
    assert z["nose"] > z["left_eye"] > z["left_ear"]
    assert y["left_eye"] > y["nose"] > y["left_shoulder"] > y["left_hip"] > y["left_knee"] > y["left_ankle"]
    assert x["left_wrist"] > x["left_elbow"] > x["left_shoulder"] > x["left_ear"] > x["left_eye"]
    for bone, name in (
        ("lowerarm01.L", "left_elbow"),
        ("lowerleg01.L", "left_knee"),
        ("foot.L", "left_ankle"),
    ):
        joint = body.joints[body.bones.index(bone)]
        assert np.linalg.norm(body.V[table[name]] - joint) < 0.08


def test_landmarks_of_the_quadruped_are_where_they_are() -> None:
    table = default_landmarks(shape_template("quadruped"))
    assert table is not None
    V = build_quadruped().V
    x, y, z = ({name: V[vertex, k] for name, vertex in table.items()} for k in range(3))
    assert max(z, key=z.__getitem__) == "nose"
    assert min(z, key=z.__getitem__) == "tail_tip"
    assert max(y["left_front_hoof"], y["left_hind_hoof"]) < 0.03
    assert z["poll"] > z["neck"] > z["withers"] > z["tail_base"]
    assert (
        y["poll"]
        > y["neck"]
        > y["withers"]
        > y["left_shoulder"]
        > y["left_front_elbow"]
        > y["left_front_knee"]
    )
    assert y["left_hip"] > y["left_stifle"] > y["left_hock"] > y["left_hind_hoof"]
    assert y["throat"] < y["left_eye"]
    assert x["left_ear"] > x["poll"]


def test_any_other_mesh_has_no_table() -> None:
    assert default_landmarks(globe()) is None


def test_an_edited_table_comes_back() -> None:
    text = format_landmarks(["nose", "poll", "tail"], {"nose": 3, "tail": 0})
    assert text == "landmark,vertex\nnose,3\npoll,\ntail,0\n"
    assert parse_landmarks(text, "t") == {"nose": 3, "tail": 0}


def test_errors_on_a_globe_are_angles() -> None:
    vertices = np.array([at(0, 1, 0), at(1, 0, 0), at(-1, 0, 0)])
    off = at(0, np.cos(0.6), np.sin(0.6))
    angle = float(np.arccos(globe().V[off, 1]))
    xy = np.array([[10.0, 5.0], [20.0, 30.0], [2.0, 30.0]])
    everything = np.ones(3, dtype=bool)
    right = (xy, everything, xy + 1.0, vertices)
    turned = (xy, everything, xy, np.array([off, vertices[2], -1]))  # left for right; no label on the right
    found = landmark_errors(globe(), SET, vertices, [right, turned], reach=3.0)
    assert_array_equal(found.keypoint, [0, 1, 2, 0, 1, 2])
    assert_allclose(found.error, [0, 0, 0, angle, np.pi, np.inf], rtol=0.01, atol=1e-6)
    assert_array_equal(found.swapped, [False, False, False, False, True, False])
    rows = {row["keypoint"]: row for row in summarise_errors(found, SET.names, globe())}
    assert rows["pole"]["mean_m"] == pytest.approx(angle / 2, rel=0.01)
    assert rows["pole"]["mean_228"] == pytest.approx(228 * angle / 2 / np.pi, rel=0.02)
    assert rows["pole"]["swapped_share"] is None
    assert rows["left"]["swapped_share"] == 0.5
    assert rows["right"] | {"n": 1, "n_missing": 1} == rows["right"]
    assert rows["all"]["n"] == 5
    assert rows["all"]["swapped_share"] == pytest.approx(1 / 3)


def test_the_nearest_label_within_reach_counts_and_hidden_keypoints_do_not() -> None:
    vertices = np.array([at(0, 1, 0), -1, -1])
    places = np.array([[0.0, 3.0], [0.0, 2.0], [0.0, 0.5]])
    labels = np.array([at(1, 0, 0), at(0, 1, 0), -1])  # the nearest one does not know its vertex
    one = (np.zeros((3, 2)), np.ones(3, dtype=bool), places, labels)
    assert landmark_errors(globe(), SET, vertices, [one], reach=2.0).error.tolist() == [0.0]
    assert landmark_errors(globe(), SET, vertices, [one], reach=1.9).error.tolist() == [np.inf]
    none = (np.zeros((3, 2)), np.zeros(3, dtype=bool), places, labels)
    assert len(landmark_errors(globe(), SET, vertices, [none], reach=2.0).error) == 0


def test_a_template_without_a_unit_has_no_metres() -> None:
    found = landmark_errors(globe(), SET, np.array([0, 1, 2]), [], reach=1.0)
    assert summarise_errors(found, SET.names, globe()) == []
    from dataclasses import replace

    xy = np.zeros((3, 2))
    one = (xy, np.array([True, False, False]), xy[:1], np.array([0]))
    found = landmark_errors(globe(), SET, np.array([0, 1, 2]), [one], reach=1.0)
    (row, _) = summarise_errors(found, SET.names, replace(globe(), unit="none"))
    assert list(row) == ["keypoint", "n", "n_missing", "mean_228", "median_228", "swapped_share"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,vertex\nnose,1\n", "the columns landmark, vertex; received name, vertex in t"),
        ("", "the columns landmark, vertex; received none"),
        ("landmark,vertex\nnose,-1\n", "a vertex from 0; received '-1' for nose"),
        ("landmark,vertex\nnose,1\nnose,2\n", "each landmark once; received nose again"),
    ],
)
def test_bad_tables_are_refused(text: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        parse_landmarks(text, "t")


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    landmarks = {"pole": "top", "left": "east"}
    with pytest.raises(AnnotationError, match=r"vertices below 642 \(globe-v1\); received 700 for left"):
        keypoint_vertices(SET, landmarks, {"top": 1, "east": 700}, globe())
    with pytest.raises(
        AnnotationError, match="landmarks for keypoints of globe: top, east; received only none"
    ):
        keypoint_vertices(SET, landmarks, {}, globe())
    with pytest.raises(DatasetNotFoundError, match="--write-table"):
        read_landmarks(tmp_path / "none.csv")
    with pytest.raises(AnnotationError, match="rows of the keypoint set 'horse10'"):
        keypoint_landmarks("horse10")
