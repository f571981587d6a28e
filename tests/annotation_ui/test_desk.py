import base64
import inspect
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from annotation_ui.desk import Desk
from annotation_ui.desk_errors import DeskError
from annotation_ui.desk_process import OPERATORS
from annotation_ui.desk_settings import DeskSettings, read_settings, write_settings
from annotation_ui.desk_suggest import suggest
from annotation_ui.desk_template import body_parts
from densecorr.errors import AnnotationError, ArtifactError, SettingsError
from densecorr.review.masks import OBJECT
from densecorr.review.state import initial_state
from densecorr.templates import load_catalog_mesh, read_template
from storage.artifacts import Recipe, Store
from storage.decisions import read_decisions
from storage.journal import Journal, journal_path
from storage.similarities import PointSimilarities, write_similarity_facts, write_similarity_shard
from tests.annotation_ui.review_world import (
    SIDE,
    accept,
    act_on,
    front_points,
    make_labels,
    moved,
    point_of,
    put_labels,
)

ROOT = Path(__file__).resolve().parents[2]


def test_every_answer_is_plain_json(desk: Desk) -> None:
    opened = desk.review_open(1)
    answers = [
        opened,
        desk.review_instance("i/0", lease=True),
        accept(desk, "i/0"),
        desk.review_guide(),
        desk.review_others("i/0"),
    ]
    answers += [desk.review_suggest("i/0", None), desk.review_history(5), desk.review_queue()]
    answers += [desk.review_similarity("i/0", 30.0, 30.0, 3), desk.review_release("i/0")]
    for answer in answers:
        json.dumps(answer, allow_nan=False)
    assert set(opened) == {
        *("version", "reviewer", "dataset", "template"),
        *("serial", "queue", "progress", "reasons", "gold"),
    }
    assert [entry["instance_id"] for entry in opened["queue"]] == [f"i/{i}" for i in range(5)]


def test_the_template_travels_as_little_endian_arrays(desk: Desk) -> None:
    template = desk.review_open(1)["template"]
    V = np.frombuffer(base64.b64decode(template["vertices"]), "<f4").reshape(-1, 3)
    F = np.frombuffer(base64.b64decode(template["faces"]), "<i4").reshape(-1, 3)
    assert V.shape == (642, 3)
    assert F.max() == 641
    np.testing.assert_allclose(np.linalg.norm(V, axis=1), 1, atol=1e-5)
    mirror = np.frombuffer(base64.b64decode(template["mirror"]), "<i4")
    np.testing.assert_allclose(V[mirror] * [-1, 1, 1], V, atol=1e-3)


def test_the_bodys_parts_are_on_their_sides() -> None:
    V, F = load_catalog_mesh("body")
    template: Any = SimpleNamespace(template_id="body-v1", V=V, F=F)
    parts, names = body_parts(template)
    assert parts is not None
    middle = {name: V[parts == index].mean(axis=0) for index, name in enumerate(names)}
    assert len(names) == 14
    assert OBJECT not in names  # the name of the whole object's mask
    assert all((x > 0.05) == name.startswith("left") for name, (x, _, _) in middle.items())
    assert middle["head"][1] > middle["torso"][1] > middle["left thigh"][1] > middle["left foot"][1]


def test_the_picture_is_the_crop_and_the_outline_is_the_objects(desk: Desk) -> None:
    seen = desk.review_instance("i/0", lease=False)
    x0, y0, x1, y1 = seen["image"]["crop"]
    assert (seen["image"]["width"], x0, x1) == (SIDE, 5, 60)
    png = Image.open(io.BytesIO(base64.b64decode(seen["image"]["png"].partition(",")[2])))
    assert png.size == (x1 - x0, y1 - y0)
    assert png.getpixel((32 - x0, 32 - y0)) == (200, 200, 200)
    outline = np.array(seen["silhouette"][0]).reshape(-1, 2)
    np.testing.assert_allclose(np.hypot(*(outline - SIDE / 2).T), 20, atol=1)


def test_an_act_is_in_the_journal_and_changes_what_is_shown(
    desk: Desk, world: tuple[Store, DeskSettings]
) -> None:
    before = point_of(desk, "i/0", 3)
    stored = desk.review_act(act_on(desk, "i/0", "move", moved(before, x=1.5), point_id=3))
    with Journal(journal_path(world[0], "ann")) as journal:
        [decision] = journal.decisions("i/0")
    assert decision.decision_id == stored["decision_id"]
    assert decision.before["points"]["3"]["x"] == pytest.approx(before["x"])
    assert (decision.dataset_id, decision.producer) == (world[1].dataset, "zero")
    after = point_of(desk, "i/0", 3)
    assert (after["x"], after["score"]) == (1.5, None)
    assert before["score"] is not None


def test_an_act_meant_for_another_app_is_refused_and_kept_by_the_page(desk: Desk) -> None:
    before = point_of(desk, "i/0", 3)
    act = act_on(desk, "i/0", "move", moved(before, x=1.5), point_id=3)
    for other in ({"reviewer": "bob"}, {"dataset": "another"}):
        with pytest.raises(DeskError, match="belongs to an App that was closed") as caught:
            desk.review_act({**act, **other})
        assert caught.value.kind == "version"
    assert desk.review_instance("i/0", True)["acts"] == []
    assert desk.review_act({**act, "reviewer": "ann"})["decision_id"]


def test_an_act_that_is_sent_twice_is_stored_once(desk: Desk) -> None:
    before = point_of(desk, "i/0", 3)
    keyed = {**act_on(desk, "i/0", "move", moved(before, x=1.5), point_id=3), "key": "6a1f"}
    first = desk.review_act(keyed)
    assert desk.review_act(keyed)["decision_id"] == first["decision_id"]
    (act,) = desk.review_instance("i/0", True)["acts"]
    assert (act["decision_id"], act["point_id"]) == (first["decision_id"], 3)
    assert desk.review_act({**keyed, "key": "6a20"})["decision_id"] != first["decision_id"]


def test_verdicts_progress_and_history(desk: Desk) -> None:
    assert accept(desk, "i/0")["progress"]["accepted"] == 1
    reject = {"verdict": {"action": "reject", "reason": "wrong object"}}
    answer = desk.review_act(act_on(desk, "i/1", "reject", reject, reason="wrong object"))
    assert answer["verdict"] == {"action": "reject", "reason": "wrong object"}
    skip = {"verdict": {"action": "skip", "reason": None}}
    progress = desk.review_act(act_on(desk, "i/2", "skip", skip))["progress"]
    assert progress == {
        "done": 2,
        "total": 5,
        "accepted": 1,
        "rejected": 1,
        "per_hour": 1200.0,
        "seconds": 6.0,
    }
    assert [act["action"] for act in desk.review_history(2)["acts"]] == ["skip", "reject"]
    assert desk.review_queue()["queue"][1]["verdict"]["action"] == "reject"


def test_undo_and_redo(desk: Desk) -> None:
    first = accept(desk, "i/0")["decision_id"]
    undo = desk.review_act(act_on(desk, "i/0", "undo", {}, undoes=first))
    assert (undo["verdict"], undo["progress"]["done"]) == (None, 0)
    redo = desk.review_act(act_on(desk, "i/0", "undo", {}, undoes=undo["decision_id"]))
    assert redo["verdict"]["action"] == "accept"
    acts = desk.review_instance("i/0", lease=False)["acts"]
    assert [(act["action"], act["undone"]) for act in acts] == [
        ("accept", False),
        ("undo", True),
        ("undo", False),
    ]
    with pytest.raises(DeskError, match="to undo"):
        desk.review_act(act_on(desk, "i/1", "undo", {}, undoes=first))


def test_a_desk_opened_again_goes_on_where_it_was(world: tuple[Store, DeskSettings]) -> None:
    desk = Desk(world[1])
    desk.review_act(act_on(desk, "i/0", "delete", {"points": {"2": None}}, point_id=2))
    accept(desk, "i/0")
    again = Desk(world[1])  # before the first one's acts are in the table
    assert again.review_queue()["progress"]["accepted"] == 1
    desk.close()
    again.close()
    assert len(read_decisions(world[0], dataset_id=world[1].dataset)) == 2
    last = Desk(world[1])
    seen = last.review_instance("i/0", lease=False)
    assert [point["point_id"] for point in seen["points"]] == [0, 1, *range(3, 12)]
    last.close()


def test_the_largest_expected_error_comes_first(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    labels = make_labels(5, 12, "zero_shot", "zero")
    sure = [0.2, 0.1, 0.5, 0.3, 0.4]
    labels = [
        replace(one, expected_error=np.full(12, e, np.float32)) for one, e in zip(labels, sure, strict=True)
    ]
    desk = Desk(replace(settings, labels=put_labels(store, labels, "calibrated")))
    assert [entry["instance_id"] for entry in desk.review_queue()["queue"]] == [
        f"i/{i}" for i in (2, 4, 3, 0, 1)
    ]
    desk.close()


def test_the_plugin_names_the_desks_operators() -> None:
    folder = ROOT / "annotation_ui" / "plugin"
    named = yaml.safe_load((folder / "fiftyone.yml").read_text())
    assert named["operators"] == list(OPERATORS)
    assert (folder / named["js_bundle"]).is_file()
    for name, parameters in OPERATORS.items():
        assert list(inspect.signature(getattr(Desk, name)).parameters) == ["self", *parameters]


def test_neighbours_and_the_model_correct_a_point_that_is_far_off(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    template = read_template(store.path(settings.template))
    (right, *_), (opinion, *_) = make_labels(1, 40, "zero_shot", "zero"), make_labels(1, 40, "model", "net")
    vertex, far = np.array(right.vertex), int(template.V[:, 2].argmin())
    good, vertex[4] = int(vertex[4]), far
    wrong = replace(right, vertex=vertex)
    state = initial_state(wrong)
    found = {one["why"]: one for one in suggest(template, wrong, state, opinion, 4)}
    assert found["model"]["vertex"] == good
    assert np.linalg.norm(template.V[found["neighbours"]["vertex"]] - template.V[good]) < 0.5
    assert 4 in {one["point_id"] for one in suggest(template, wrong, state, opinion, None)}
    # what the reviewer has set is settled
    settled = replace(state, points={**state.points, 4: replace(state.points[4], vertex=far - 1)})
    assert suggest(template, wrong, settled, opinion, 4) == []
    # one neighbour or two can be of anything
    few = replace(state, points={i: state.points[i] for i in (4, 5, 6)})
    assert {one["why"] for one in suggest(template, wrong, few, opinion, 4)} == {"model"}


def test_suggestions_for_a_point_that_is_not_there_are_refused(desk: Desk) -> None:
    with pytest.raises(SettingsError, match="77"):
        desk.review_suggest("i/0", 77)


def test_likeness_falls_with_the_distance(desk: Desk) -> None:
    values = np.frombuffer(base64.b64decode(desk.review_similarity("i/0", 0, 0, 5)["values"]), "u1")
    assert values[5] == 255 == values.max()
    assert values.min() < 20
    with pytest.raises(SettingsError):
        desk.review_similarity("i/0", 0, 0, 642)


def test_an_order_is_the_queue(world: tuple[Store, DeskSettings]) -> None:
    desk = Desk(replace(world[1], order=("i/3", "i/1", "i/99"), gold=("i/1",)))
    opened = desk.review_open(1)
    assert [entry["instance_id"] for entry in opened["queue"]] == ["i/3", "i/1"]
    assert opened["gold"]
    desk.close()


def test_settings_survive_the_file(world: tuple[Store, DeskSettings], tmp_path: Path) -> None:
    settings = replace(world[1], order=("i/1",))
    write_settings(tmp_path / "a" / "desk.json", settings)
    assert read_settings(tmp_path / "a" / "desk.json") == settings
    with pytest.raises(SettingsError, match="reviewer"):
        read_settings(tmp_path / "none.json")


def test_the_desk_starts_without_torch_and_fiftyone() -> None:
    code = "import sys, annotation_ui.desk_process; print(sorted({'torch', 'fiftyone'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_heat_maps_of_features_are_shown_at_labelled_points(
    world: tuple[Store, DeskSettings], tmp_path: Path
) -> None:
    store, settings = world
    rng = np.random.default_rng(0)
    values = rng.integers(1, 255, (12, 20), dtype=np.uint8)
    template = read_template(store.path(settings.template))
    x, y, _ = front_points(12, 0)
    xy = np.stack([x, y], axis=1).astype(float)

    def write(out: Path, template_id: str = "ball-v1") -> None:
        one = PointSimilarities("i/0", xy, values, np.zeros((12, 2), np.float32))
        (out / "shards").mkdir()
        write_similarity_shard(out / "shards" / "shard-00000", [one], 20)
        write_similarity_facts(out, template_id, template.to_coarse, {})

    made = store.ensure(Recipe("similarities", 1, {}, {}), write)
    desk = Desk(replace(settings, similarities=made))
    answer = desk.review_similarity("i/0", float(x[3]) + 0.1, float(y[3]), 7)
    assert answer["kind"] == "features"
    shown = np.frombuffer(base64.b64decode(answer["values"]), "u1")
    assert any((shown == row[template.to_coarse]).all() for row in values)
    assert desk.review_similarity("i/0", 0, 0, 7)["kind"] == "geodesic"  # no point is near
    assert desk.review_similarity("i/1", float(x[3]), float(y[3]), 7)["kind"] == "geodesic"  # not compared
    desk.close()
    other = store.ensure(Recipe("similarities", 1, {"other": 1}, {}), lambda out: write(out, "cow-v1"))
    with pytest.raises(ArtifactError, match="cow-v1"):
        Desk(replace(settings, similarities=other))


def test_points_are_spread_over_parts_with_ids_of_their_own(desk: Desk) -> None:
    parts = {"top": [[20, 15, 44, 15, 44, 30, 20, 30]], "bottom": [[28, 40, 36, 40, 36, 48, 28, 48]]}
    points = desk.review_spread("i/0", parts)["points"]
    assert points == desk.review_spread("i/0", parts)["points"]
    assert [point["point_id"] for point in points] == list(range(12, 12 + len(points)))
    of = {name: [p for p in points if p["part"] == name] for name in parts}
    assert len(of["top"]) == 14 > len(of["bottom"]) >= 1  # the larger part has more
    assert all(20 <= p["x"] <= 44 and 15 <= p["y"] <= 30 for p in of["top"])
    first = {"x": points[0]["x"], "y": points[0]["y"], "vertex": -1, "visible": True}
    added = desk.review_act(act_on(desk, "i/0", "add", {"points": {"12": first}}, point_id=12))
    desk.review_act(act_on(desk, "i/0", "undo", {}, undoes=added["decision_id"]))
    assert desk.review_spread("i/0", parts)["points"][0]["point_id"] == 13  # an id that was used stays used
    assert desk.review_spread("i/0", {})["points"] == []
    for wrong in (None, {"top": 3}, {"top": [["a"]]}, {"top": [[1.0, 2.0]]}):
        with pytest.raises(AnnotationError):
            desk.review_spread("i/0", wrong)  # type: ignore[arg-type]
