"""`data landmarks`: a data set with zebra keypoints against labels on a ball whose landmarks are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from densecorr.datasets.keypoints import KEYPOINT_SETS
from densecorr.errors import AnnotationError, EmptyInstanceError, SettingsError
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from densecorr.templates import TemplateSettings, build_template, write_template
from flows.data_landmarks import Landmarks
from flows.session import Session
from storage.artifacts import Store
from storage.recipe import Recipe
from storage.rows import records_to_table, table_to_records
from storage.tables import read_table, write_table

NAMES = KEYPOINT_SETS["zebra"].names
TABLE = "landmark,vertex\nnose,0\npoll,1\nleft_shoulder,2\nright_shoulder,3\n"


def keypoints(*visibility: int) -> list[float]:
    """Keypoint k at (10 k, 5)."""
    return [value for k, v in enumerate(visibility) for value in (10 * k, 5, v)]


def dataset(store: Store, names: tuple[str, ...] = NAMES, template_id: str = "ball-v1") -> str:
    """Three zebras: all keypoints and a label on each; none visible; no keypoints."""
    flat = [keypoints(*[2] * 9), keypoints(*[1] * 9), keypoints(*[0] * 9)]

    def write(out: Path) -> None:
        images = [ImageRecord("z/1", "1.png", 100, 20)]
        instances = [
            InstanceRecord(f"z/{k}", "z/1", "zebra", (0.0, 0.0, 90.0, 9.0), extra={"keypoints": one})
            for k, one in enumerate(flat)
        ]
        x = np.arange(9.0) * 10
        vertex = np.array([0, 5, 3, 3, *[-1] * 5])  # snout right, head off, left foreleg on the right one
        labels = [
            LabelRecord(
                f"z/{k}/human", f"z/{k}", template_id, "human", "dataset:z", x, np.full(9, 6.0), vertex.copy()
            )
            for k in range(3)
        ]
        for name, rows in (("images", images), ("instances", instances), ("labels", labels)):
            write_table(out / f"{name}.parquet", name, records_to_table(name, rows))
        info = {"image_root": "", "categories": [{"id": 1, "name": "zebra", "keypoints": list(names)}]}
        (out / "dataset.json").write_text(json.dumps(info))

    return store.ensure(Recipe("ingest", 1, {"names": list(names), "template": template_id}, {}), write)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(str(tmp_path / "store"))


@pytest.fixture
def template(session: Session) -> str:
    ball = trimesh.creation.icosphere(subdivisions=2)
    settings = TemplateSettings(n_eigenpairs=4, n_coarse=30, geodesics="exact")
    made = build_template(np.array(ball.vertices), np.array(ball.faces), "ball-v1", settings)
    return session.store.ensure(Recipe("template", 1, {}, {}), lambda out: write_template(out, made))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def figures(session: Session, command: Landmarks) -> dict[str, dict[str, float]]:
    command(session)
    assert command.json is not None
    return {row["keypoint"]: row for row in json.loads(command.json.read_text())["keypoints"]}


def test_errors_a_keypoint_are_printed_and_written(
    session: Session, template: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Landmarks(dataset(session.store), template, table=table, json=tmp_path / "out.json")
    rows = figures(session, command)
    V = np.array(trimesh.creation.icosphere(subdivisions=2).vertices)
    assert list(rows) == ["snout", "head", "forelegL1", "forelegR1", "all"]
    assert (rows["snout"]["n"], rows["snout"]["mean_m"]) == (1, 0.0)
    assert rows["head"]["mean_m"] == pytest.approx(float(np.arccos(V[1] @ V[5])), rel=0.05)
    assert rows["head"]["mean_228"] == pytest.approx(rows["head"]["mean_m"] / np.pi * 228, rel=0.05)
    assert rows["forelegL1"]["swapped_share"] == 1.0  # labelled with the right one's vertex
    assert rows["forelegR1"]["n_missing"] == 1  # its point does not know its vertex
    assert rows["all"]["n"] == 3
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == list(rows["all"])
    assert said[-1].split()[:3] == ["all", "3", "1"]


def test_hidden_keypoints_count_when_asked_for(
    session: Session, template: str, table: Path, tmp_path: Path
) -> None:
    command = Landmarks(
        dataset(session.store), template, table=table, hidden=True, json=tmp_path / "out.json"
    )
    assert figures(session, command)["snout"]["n"] == 2


def test_a_short_reach_finds_nothing(session: Session, template: str, table: Path, tmp_path: Path) -> None:
    command = Landmarks(dataset(session.store), template, table=table, reach=0.5, json=tmp_path / "out.json")
    row = figures(session, command)["all"]
    assert (row["n"], row["n_missing"], row["mean_m"]) == (0, 4, None)


def test_the_table_is_written_to_be_edited(session: Session, template: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    Landmarks(dataset(session.store), template, write_table=path)(session)
    lines = path.read_text().splitlines()
    assert lines[:3] == ["landmark,vertex", "nose,", "poll,"]
    assert len(lines) == 10


def test_keypoints_become_label_sets(session: Session, template: str, table: Path, tmp_path: Path) -> None:
    Landmarks(dataset(session.store), template, table=table, out=tmp_path / "made")(session)
    found = table_to_records("labels", read_table(tmp_path / "made" / "labels.parquet", "labels"))
    assert [one.instance_id for one in found] == ["z/0", "z/1"]
    assert found[0].x.tolist() == [0, 10, 30, 40]
    assert found[0].vertex.tolist() == [0, 1, 2, 3]
    assert found[0].point_ids is not None
    assert found[0].point_ids.tolist() == [0, 1, 3, 4]


def test_what_does_not_fit_is_refused(session: Session, template: str, table: Path) -> None:
    zebras = dataset(session.store)
    with pytest.raises(AnnotationError, match="received only none"):
        Landmarks(zebras, template)(session)
    with pytest.raises(SettingsError, match="a keypoint set: coco, ap10k, animalpose, zebra; received 'dog'"):
        Landmarks(zebras, template, table=table, keypoint_set="dog")(session)
    with pytest.raises(SettingsError, match="reach of at least 0"):
        Landmarks(zebras, template, table=table, reach=-1.0)(session)
    with pytest.raises(AnnotationError, match="17 keypoints of x, y, visibility; received 27 numbers"):
        Landmarks(zebras, template, keypoint_set="coco", table=table)(session)
    unnamed = dataset(session.store, ("a", "b"))
    with pytest.raises(SettingsError, match="categories that name the keypoints of one set"):
        Landmarks(unnamed, template, table=table)(session)
    Landmarks(unnamed, template, table=table, keypoint_set="zebra")(session)
    with pytest.raises(AnnotationError, match="labels for the template ball-v1; received labels for cow-v1"):
        Landmarks(dataset(session.store, template_id="cow-v1"), template, table=table)(session)


def test_labels_of_other_instances_are_no_labels(session: Session, template: str, table: Path) -> None:
    other = LabelRecord("a/1/h", "a/1", "ball-v1", "human", "x", np.zeros(1), np.zeros(1), np.zeros(1, int))

    def write(out: Path) -> None:
        write_table(out / "labels.parquet", "labels", records_to_table("labels", [other]))

    labels = session.store.ensure(Recipe("pseudo-label", 1, {}, {}), write)
    with pytest.raises(EmptyInstanceError, match="instances with keypoints and labels"):
        Landmarks(dataset(session.store), template, labels=labels, table=table)(session)
