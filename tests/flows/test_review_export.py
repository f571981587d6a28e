"""Corrections made in other tools, and reviewed labels as an artifact."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from densecorr.errors import AnnotationError, ArtifactError, EmptyInstanceError, SettingsError
from densecorr.records import Decision
from densecorr.review.acts import new_decision_id
from densecorr.review.interchange import FORMATS
from densecorr.review.resolver import Senior
from flows.review_export import ReviewExport
from flows.review_import import ReviewImport
from flows.session import Session
from storage.artifacts import Store
from storage.datasets import read_labels
from storage.decisions import append_decisions, read_decisions
from tests.annotation_ui.review_world import make_world, put_template
from tests.label_studio import submit


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    return make_world(tmp_path / "store", n=4, points=6)[0]


def run(store: Store, command: ReviewExport | ReviewImport) -> None:
    command(Session(store.place.uri, "never"))


def reviewed(store: Store, capsys: pytest.CaptureFixture[str], **options: object) -> Path:
    run(store, ReviewExport("data", labels="zero", **options))
    return store.path(capsys.readouterr().out.strip())


def verdict(store: Store, instance: int, action: str, reviewer: str = "ann") -> None:
    label = read_labels(store.path("zero"))[f"i/{instance}"]
    after = {"verdict": {"action": action, "reason": None}}
    append_decisions(
        store,
        [
            Decision(
                new_decision_id(),
                store.resolve("data"),
                label.instance_id,
                label.label_id,
                label.template_id,
                label.producer,
                action,
                reviewer,
                datetime.now(UTC),
                1.0,
                before={"verdict": None},
                after=after,
            )
        ],
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_correction_in_another_tool_becomes_a_reviewed_label(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    out = tmp_path / "tool.file"
    run(store, ReviewExport("data", labels="zero", out=out, format=form))
    write, read = FORMATS[form]
    submit(out, form)
    images = read(out)
    assert sum(len(image.instances) for image in images) == 4
    one = images[2].instances[0]
    first = replace(one.points[0], vertex=7)
    changed = replace(one, points=(first, *one.points[1:-1]))
    write(out, [replace(images[2], instances=(changed,))])
    submit(out, form)
    for _ in range(2):
        run(store, ReviewImport("data", out, "bo", form, "zero"))
        acts = [(one.action, one.instance_id, one.reviewer) for one in read_decisions(store)]
        assert acts == [(action, "i/2", "bo") for action in ("assign", "delete", "accept")]
    before, after = read_labels(store.path("zero")), read_labels(reviewed(store, capsys))
    assert set(after) == set(before)
    assert after["i/2"].source == "correction"
    assert after["i/2"].vertex.tolist() == [7, *before["i/2"].vertex[1:-1]]
    assert after["i/1"].source == "zero_shot"


def test_verdicts_weights_and_what_nobody_reviewed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    verdict(store, 0, "accept")
    verdict(store, 1, "reject")
    verdict(store, 2, "unsure")
    labels = read_labels(reviewed(store, capsys, weight=4.0, tag="done"))
    assert {key: label.weight for key, label in labels.items()} == {"i/0": 4.0, "i/2": 1.0, "i/3": 1.0}
    assert store.resolve("done")
    assert set(read_labels(reviewed(store, capsys, unreviewed="drop"))) == {"i/0"}


def test_labels_without_any_label_set_are_not_for_training(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict(store, 0, "reject")
    run(store, ReviewExport("data", labels="zero", unreviewed="drop"))
    told = capsys.readouterr()
    assert read_labels(store.path(told.out.strip())) == {}
    assert "no label sets to train on" in told.err
    assert "densecorr train" not in told.err


def test_a_file_without_what_was_decided_says_so(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ReviewExport("data", labels="zero", out=tmp_path / "tool.json")
    verdict(store, 0, "skip")
    run(store, command)
    assert "judged since" not in capsys.readouterr().err
    verdict(store, 1, "accept")
    run(store, command)
    [line] = [line for line in capsys.readouterr().err.splitlines() if "judged since" in line]
    assert "1 of them were judged since" in line
    assert "densecorr review export data --labels zero --tag corrected" in line
    run(store, ReviewExport("data", labels="zero", tag="corrected"))
    capsys.readouterr()
    run(store, replace(command, labels="corrected"))
    assert "i/1" in command.out.read_text()
    (tmp_path / "order").write_text("i/2\n")
    run(store, replace(command, order=tmp_path / "order"))
    assert "judged since" not in capsys.readouterr().err


def test_conflicts_wait_for_a_rule_that_settles_them(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict(store, 0, "accept", "ann")
    verdict(store, 0, "reject", "bo")
    folder = reviewed(store, capsys)
    assert set(read_labels(folder)) == {"i/1", "i/2", "i/3"}
    assert json.loads((folder / "review.json").read_text())["undecided"] == 1
    (conflict,) = map(json.loads, (folder / "conflicts.jsonl").read_text().splitlines())
    assert conflict["values"] == {"ann": "accept", "bo": "reject"}
    assert len(read_labels(reviewed(store, capsys, rule=Senior(("ann",))))) == 4


def test_the_same_decisions_are_the_same_artifact(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    verdict(store, 0, "accept")
    first = reviewed(store, capsys)
    assert reviewed(store, capsys) == first
    verdict(store, 1, "reject")
    assert reviewed(store, capsys) != first


def test_bad_input_says_what_to_do(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "tool.json"
    run(store, ReviewExport("data", labels="zero", out=out))
    file = json.loads(out.read_text())
    file["annotations"][0]["attributes"]["instance_id"] = "i/99"
    file["annotations"][0]["bbox"] = [0, 0, 2, 2]
    out.write_text(json.dumps(file))
    with pytest.raises(AnnotationError, match="--skip-unknown"):
        run(store, ReviewImport("data", out, "bo", labels="zero"))
    assert read_decisions(store) == []
    run(store, ReviewImport("data", out, "bo", labels="zero", skip_unknown=True))
    assert {one.instance_id for one in read_decisions(store)} == {"i/1", "i/2", "i/3"}
    file["annotations"][1]["attributes"]["instance_id"] = "i/2"
    out.write_text(json.dumps(file))
    with pytest.raises(AnnotationError, match="twice"):
        run(store, ReviewImport("data", out, "bo", labels="zero", skip_unknown=True))
    with pytest.raises(SettingsError, match="reviewer"):
        run(store, ReviewImport("data", out, "no/body", labels="zero"))
    other = put_template(store, "ball-v2")
    with pytest.raises(ArtifactError, match="ball-v1"):
        run(store, ReviewExport("data", labels="zero", template=other))
    with pytest.raises(EmptyInstanceError, match="cow"):
        run(store, ReviewExport("data", labels="zero", out=out, category="cow"))
