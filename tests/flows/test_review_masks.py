"""Masks changed in another tool come back, are resolved, and are what training and exports see."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from annotation_ui.desk import Desk
from densecorr.errors import AnnotationError
from densecorr.images import encode_silhouette
from densecorr.pseudolabels.filters import LabelFilter
from densecorr.review.acts import new_decision_id
from densecorr.review.interchange import FORMATS
from densecorr.review.masks import OBJECT
from densecorr.templates.template import read_template
from flows.data_export import read_selection
from flows.labelled import LabelledInstances, labelled_instances
from flows.review_export import ReviewExport
from flows.review_import import ReviewImport
from flows.session import Session
from flows.train import _examples as make_examples
from storage.artifacts import Store
from storage.datasets import read_instances
from storage.decisions import append_decisions, read_decisions
from storage.masks import correct_tables
from tests.annotation_ui.review_world import SIDE, make_world
from tests.label_studio import submit

FORMS = list(FORMATS)
CORNERS = [(20, 22), (45, 22), (45, 40), (20, 40)]  # edges of pixels, COCO's convention
EXPECTED = np.zeros((SIDE, SIDE), bool)
EXPECTED[22:40, 20:45] = True


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    return make_world(tmp_path / "store", n=3, points=6)[0]


def run(store: Store, command: ReviewExport | ReviewImport) -> None:
    command(Session(store.place.uri, "never"))


def sent(store: Store, out: Path, form: str, labels: str = "zero") -> Path:
    run(store, ReviewExport("data", labels=labels, out=out, format=form))
    submit(out, form)
    return out


def redrawn(store: Store, out: Path, reviewer: str = "bo") -> None:
    """A reviewer redraws the mask in a tool and brings it back."""
    sent(store, out, "coco-keypoints")
    redraw(out, "coco-keypoints", CORNERS)
    run(store, ReviewImport("data", out, reviewer, "coco-keypoints", "zero"))


def corrected(store: Store, capsys: pytest.CaptureFixture[str], labels: str = "zero", **options: Any) -> str:
    capsys.readouterr()
    run(store, ReviewExport("data", labels=labels, **options))
    return capsys.readouterr().out.strip()


def training_labels(store: Store, labels: str) -> LabelledInstances:
    """What a training run reads."""
    (template,) = [one.artifact_id for one in store.list() if one.recipe.stage == "template"]
    return labelled_instances(
        store.path("data"),
        store.path(labels),
        read_template(store.path(template)),
        "ball",
        None,
        LabelFilter(),
    )


def trained_on(store: Store, labels: str) -> dict[str, np.ndarray]:
    """The masks that a training run reads, by instance."""
    chosen = training_labels(store, labels)
    keys = [points.instance_id for points in chosen.points()]
    return {key: one.silhouette for key, one in zip(keys, chosen, strict=True)}


def redraw(path: Path, form: str, corners: list[tuple[float, float]], instance: int = 1) -> None:
    """Give an object another polygon, as the tool writes it."""
    if form == "cvat":
        tree = ElementTree.parse(path)
        shape = tree.findall("image")[instance].find("polygon")
        assert shape is not None
        shape.set("points", ";".join(f"{x:.2f},{y:.2f}" for x, y in corners))
        tree.write(path)
        return
    file = json.loads(path.read_text())
    if form == "label-studio":
        for result in file[instance]["annotations"][0]["result"]:
            if result["from_name"] == "masks":
                result["value"]["points"] = [[100 * x / SIDE, 100 * y / SIDE] for x, y in corners]
    else:
        file["annotations"][instance]["segmentation"] = [[v for corner in corners for v in corner]]
    path.write_text(json.dumps(file))


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_changed_in_a_tool_is_what_training_sees(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    out = sent(store, tmp_path / "tool.file", form)
    redraw(out, form, CORNERS)
    before = {one.instance.instance_id: one.silhouette() for one in read_instances(store.path("data"))}
    for _ in range(2):
        run(store, ReviewImport("data", out, "bo", form, "zero"))
        acts = {(one.instance_id, one.action) for one in read_decisions(store)}
        assert acts == {("i/1", "delineate"), *((f"i/{i}", "accept") for i in range(3))}
        assert len(read_decisions(store)) == 4
    labels = corrected(store, capsys)
    assert json.loads((store.path(labels) / "review.json").read_text())["masks"] == 1
    after = trained_on(store, labels)
    np.testing.assert_array_equal(after["i/1"], EXPECTED)
    for key in ("i/0", "i/2"):
        np.testing.assert_array_equal(after[key], before[key])
    # the next file holds the corrected mask, and untouched it says nothing
    again = sent(store, tmp_path / "again.file", form, labels)
    run(store, ReviewImport("data", again, "bo", form, labels))
    assert {one.action for one in read_decisions(store)[4:]} == {"accept"}
    second = corrected(store, capsys, labels)
    np.testing.assert_array_equal(trained_on(store, second)["i/1"], EXPECTED)


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_that_nobody_touched_is_no_act(store: Store, tmp_path: Path, form: str) -> None:
    out = sent(store, tmp_path / "tool.file", form)
    if form == "cvat":  # it rounds to hundredths
        text = re.sub(
            r'points="[^"]+"',
            lambda found: re.sub(r"[\d.]+", lambda n: f"{float(n[0]):.2f}", found[0]),
            out.read_text(),
        )
        out.write_text(text)
    else:  # others begin elsewhere on the outline
        file = json.loads(out.read_text())
        if form == "label-studio":
            for result in file[1]["annotations"][0]["result"]:
                if result["from_name"] == "masks":
                    corners = result["value"]["points"]
                    result["value"]["points"] = corners[3:] + corners[:3]
        else:
            (polygon,) = file["annotations"][1]["segmentation"]
            file["annotations"][1]["segmentation"] = [polygon[6:] + polygon[:6]]
            file["annotations"][2]["segmentation"] = []  # a tool that drops masks, or deleted: points tell
        out.write_text(json.dumps(file))
    run(store, ReviewImport("data", out, "bo", form, "zero"))
    assert {one.action for one in read_decisions(store)} == {"accept"}


def test_masks_of_pixels_come_back_from_cvat_and_coco(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ys, xs = np.mgrid[:SIDE, :SIDE]
    drawn = ((xs - 30) ** 2 + (ys - 34) ** 2 < 150) | (abs(xs - 30) + abs(ys - 20) < 9)
    out = sent(store, tmp_path / "tool.json", "coco-keypoints")
    file = json.loads(out.read_text())
    file["annotations"][0]["segmentation"] = encode_silhouette(drawn)
    out.write_text(json.dumps(file))
    run(store, ReviewImport("data", out, "bo", "coco-keypoints", "zero"))

    out = sent(store, tmp_path / "tool.xml", "cvat")
    tree = ElementTree.parse(out)
    image = tree.findall("image")[1]
    polygon = image.find("polygon")
    assert polygon is not None
    image.remove(polygon)
    box = drawn[8:50, 10:48]  # CVAT: runs over the rows of the mask's box, the first one of zeros
    changes = np.flatnonzero(np.diff(np.concatenate([[False], box.ravel()]).astype(int)))
    runs = np.diff([0, *changes, box.size])
    rle = ", ".join(map(str, runs))
    place = {"left": "10", "top": "8", "width": "38", "height": "42"}
    ElementTree.SubElement(
        image, "mask", {"label": "ball", "group_id": polygon.attrib["group_id"], "rle": rle, **place}
    )
    tree.write(out)
    run(store, ReviewImport("data", out, "cy", "cvat", "zero"))
    masks = trained_on(store, corrected(store, capsys))
    np.testing.assert_array_equal(masks["i/0"], drawn)
    np.testing.assert_array_equal(masks["i/1"], drawn)
    assert "not read" not in capsys.readouterr().err


def test_what_is_not_read_is_said(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = sent(store, tmp_path / "tool.xml", "cvat")
    out.write_text(out.read_text().replace("</image>", '<ellipse label="ball"/></image>', 2))
    run(store, ReviewImport("data", out, "bo", "cvat", "zero"))
    assert "not read: 2 ellipse (in ball.png)" in "".join(capsys.readouterr())
    out = sent(store, tmp_path / "tool.json", "label-studio")
    tasks = json.loads(out.read_text())
    brush = {"id": "b", "from_name": "brush", "type": "brushlabels", "value": {"format": "rle", "rle": []}}
    note = {"id": "b", "from_name": "instance_id", "type": "textarea", "value": {"text": ["i/9"]}}
    tasks[0]["annotations"][0]["result"] += [brush, note]
    out.write_text(json.dumps(tasks))
    run(store, ReviewImport("data", out, "bo", "label-studio", "zero"))
    assert "not read: 1 brush" in "".join(capsys.readouterr())
    out = sent(store, tmp_path / "hole.json", "coco-keypoints")
    file = json.loads(out.read_text())
    hole = EXPECTED.copy()
    hole[28:32, 28:32] = False
    file["annotations"][0]["segmentation"] = encode_silhouette(hole)
    out.write_text(json.dumps(file))
    run(store, ReviewImport("data", out, "bo", "coco-keypoints", "zero"))
    assert "not read: 1 hole of a mask" in "".join(capsys.readouterr())
    np.testing.assert_array_equal(trained_on(store, corrected(store, capsys))["i/0"], EXPECTED)


def test_a_mask_without_a_pixel_is_refused(store: Store, tmp_path: Path) -> None:
    out = sent(store, tmp_path / "tool.json", "coco-keypoints")
    for corners in ([(1, 1), (1, 1), (1, 1)], [(1, 1), (9, 9)], [(0, 0), (999, 0), (999, 999)]):
        redraw(out, "coco-keypoints", corners)
        with pytest.raises(AnnotationError, match="i/1"):
            run(store, ReviewImport("data", out, "bo", "coco-keypoints", "zero"))
    assert read_decisions(store) == []


def test_a_later_file_takes_a_mask_back(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sent(store, tmp_path / "first.json", "coco-keypoints")
    untouched = json.loads(first.read_text())
    redraw(first, "coco-keypoints", CORNERS)
    run(store, ReviewImport("data", first, "bo", "coco-keypoints", "zero"))
    first.write_text(json.dumps(untouched))
    run(store, ReviewImport("data", first, "bo", "coco-keypoints", "zero"))
    act = next(one for one in reversed(read_decisions(store)) if one.action == "delineate")
    assert act.after == {"parts": {OBJECT: None}}
    assert act.before["parts"][OBJECT] is not None
    assert json.loads((store.path(corrected(store, capsys)) / "review.json").read_text())["masks"] == 0


def test_others_keep_the_masks_of_the_round_before(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redrawn(store, tmp_path / "tool.json")
    first = corrected(store, capsys)
    second = corrected(store, capsys, labels="net", others=first)
    np.testing.assert_array_equal(trained_on(store, second)["i/1"], EXPECTED)


def test_an_undone_mask_is_the_data_sets_again(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redrawn(store, tmp_path / "tool.json")
    (act,) = [one for one in read_decisions(store) if one.action == "delineate"]
    undo = replace(
        act,
        decision_id=new_decision_id(),
        action="undo",
        undoes=act.decision_id,
        before=act.after,
        after=act.before,
    )
    append_decisions(store, [undo])
    assert json.loads((store.path(corrected(store, capsys)) / "review.json").read_text())["masks"] == 0


def test_an_export_of_the_data_writes_the_corrected_mask(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from densecorr.datasets.export_coco import write_coco_folder
    from densecorr.datasets.query import Filters

    redrawn(store, tmp_path / "tool.json")
    table = store.path(corrected(store, capsys)) / "labels.parquet"
    selection = read_selection(store.path("data"), Filters(), [table], with_images=False)
    write_coco_folder(tmp_path / "coco", selection)
    one, other = json.loads((tmp_path / "coco" / "annotations.json").read_text())["annotations"][:2]
    assert "segmentation" not in one  # made here, not asked for
    assert other["segmentation"] == [[v for corner in CORNERS for v in corner]]
    assert other["area"] == EXPECTED.sum()


def test_the_panel_gets_the_mask_and_spreads_no_points_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    store, settings = make_world(tmp_path / "store", n=3, points=6)
    redrawn(store, tmp_path / "tool.json", settings.reviewer)
    desk = Desk(settings)
    try:
        parts = desk.review_instance("i/1", lease=False)["parts"]
        assert parts == {OBJECT: [[v - 0.5 for corner in CORNERS for v in corner]]}
        leg = [[20.0, 20.0, 30.0, 20.0, 30.0, 30.0]]
        alone = desk.review_spread("i/1", {"leg": leg})
        assert desk.review_spread("i/1", parts | {"leg": leg}) == alone
        assert {point["part"] for point in alone["points"]} == {"leg"}
    finally:
        desk.close()


@pytest.mark.parametrize("form", ["cvat", "label-studio"])
def test_a_mask_drawn_anew_is_that_of_the_object_whose_box_it_fits(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    corners = [(13.0, 14.0), (52.0, 14.0), (52.0, 51.0), (13.0, 51.0)]
    out = sent(store, tmp_path / "tool.file", form)
    redraw(out, form, corners)
    if form == "cvat":
        text = re.sub(r'(<polygon [^>]*) group_id="2"([^>]*)>\s*<attribute[^\n]*', r"\1\2>", out.read_text())
        out.write_text(text)
    else:
        file = json.loads(out.read_text())
        result = file[1]["annotations"][0]["result"]
        (mask,) = [one["id"] for one in result if one["from_name"] == "masks"]
        file[1]["annotations"][0]["result"] = [
            one for one in result if one["id"] != mask or one["from_name"] == "masks"
        ]
        out.write_text(json.dumps(file))
    (loose,) = [one for one in FORMATS[form][1](out)[1].instances if one.instance_id is None]
    assert loose.polygons
    run(store, ReviewImport("data", out, "bo", form, "zero"))
    expected = np.zeros((SIDE, SIDE), bool)
    expected[14:51, 13:52] = True
    np.testing.assert_array_equal(trained_on(store, corrected(store, capsys))["i/1"], expected)
    away = sent(store, tmp_path / "away.file", form)
    away.write_text(out.read_text())
    redraw(away, form, [(1.0, 1.0), (5.0, 1.0), (5.0, 5.0)])
    with pytest.raises(AnnotationError, match="ball"):
        run(store, ReviewImport("data", away, "bo", form, "zero"))


def test_of_two_label_sets_of_an_instance_the_last_says_what_its_mask_is() -> None:
    square = json.dumps({"corrected_mask": [[1.0, 1.0, 4.0, 1.0, 4.0, 4.0, 1.0, 4.0]]})
    kind = pa.struct([("size", pa.list_(pa.int64())), ("counts", pa.string()), ("polygons", pa.null())])
    images = pa.table({"image_id": ["m"], "height": [9], "width": [9]})
    columns: dict[str, Any] = {"instance_id": ["i"], "image_id": ["m"], "area": [5.0]}
    columns |= {"silhouette": pa.array([None], kind), "silhouette_source": ["dataset"], "extra": [None]}
    instances = pa.table(columns)
    labels = pa.table({"instance_id": ["i", "i"], "extra": [square, None]})
    assert correct_tables(instances, images, labels).equals(instances)


def test_training_says_that_encoded_crops_keep_the_old_masks(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    redrawn(store, tmp_path / "tool.json")
    labels = corrected(store, capsys)
    monkeypatch.setattr("densecorr.training.encoded.Encoding", lambda folder: folder)
    monkeypatch.setattr("densecorr.training.examples.write_encoded_examples", lambda *args: args[0])
    inputs: Any = SimpleNamespace(path=lambda name: tmp_path)
    settings: Any = SimpleNamespace(seed=0)
    for name, said in (("zero", ""), (labels, "1 corrected masks do not count")):
        chosen = training_labels(store, name)
        make_examples(tmp_path, chosen, "encode", inputs, "encoded", settings)
        assert said in capsys.readouterr().err
        assert chosen.n_corrected_masks == bool(said)
