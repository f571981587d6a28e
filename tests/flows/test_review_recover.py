"""A reviewer's journal is damaged: others go on, what would be incomplete stops, and `review recover` mends it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotation_ui.desk import Desk
from annotation_ui.desk_process import answer_of
from annotation_ui.desk_settings import DeskSettings
from densecorr.records import Decision
from densecorr.review.acts import new_decision_id
from flows import cli
from flows.review_open import prepare_desk
from storage.artifacts import Store
from storage.datasets import read_labels
from storage.decisions import compact
from storage.journal import Journal, journal_path
from storage.journal_errors import DamagedJournalError
from tests.annotation_ui.review_world import accept, make_world
from tests.storage.damaged_journals import DAMAGES, empty


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, DeskSettings]:
    """Five balls; ann's verdicts on i/0 (in the table) and i/1 (in the journal only), and bob's on i/2."""
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DENSECORR_MONGO_DIR", str(tmp_path / "mongo"))
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    store, settings = make_world(tmp_path / "store")
    judge(store, settings, "ann", "i/0", n_acts=1)
    compact(store)
    judge(store, settings, "ann", "i/1", n_acts=60)
    judge(store, settings, "bob", "i/2", n_acts=1)
    return store, settings


def judge(store: Store, settings: DeskSettings, reviewer: str, key: str, n_acts: int) -> None:
    label = read_labels(store.path(settings.labels or ""))[key]
    with Journal(journal_path(store, reviewer)) as journal:
        for _ in range(n_acts):
            journal.append(
                Decision(
                    new_decision_id(),
                    settings.dataset,
                    key,
                    label.label_id,
                    label.template_id,
                    label.producer,
                    "accept",
                    reviewer,
                    datetime.now(UTC),
                    1.0,
                    before={"verdict": None},
                    after={"verdict": {"action": "accept", "reason": None}},
                )
            )


def run(store: Store, *arguments: str) -> int:
    return cli.main(["--store", store.place.uri, "review", *arguments])


@pytest.mark.parametrize("damage", DAMAGES)
def test_others_go_on_and_the_damage_is_said_and_mended(
    world: tuple[Store, DeskSettings], capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    store, settings = world
    path = journal_path(store, "ann")
    damage(path)
    content = path.read_bytes()
    assert run(store, "status", "data") == 0
    printed = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in printed.out.splitlines()[1:]}
    assert (rows["ann"][1], rows["ann"][-2]) == ("1", "-")  # what is in the table; what waits is not known
    assert (rows["bob"][1], rows["bob"][-2]) == ("1", "1")
    [line] = [line for line in printed.err.splitlines() if "left out" in line]
    assert "the acts of ann in the table (1) count" in line
    assert line.endswith("densecorr review recover ann (keeps the damaged file).")
    desk = Desk(replace(settings, reviewer="bob"))  # bob's App opens
    assert accept(desk, "i/3")["progress"]["done"] == 2
    desk.close()
    assert path.read_bytes() == content

    assert run(store, "export", "data", "--labels", "zero") == 2
    assert "--incomplete" in capsys.readouterr().err
    assert run(store, "export", "data", "--labels", "zero", "--incomplete") == 0
    printed = capsys.readouterr()
    assert "INCOMPLETE: left out the journal" in printed.err
    review = json.loads((store.path(printed.out.strip()) / "review.json").read_text())
    assert review["reviewed"] == 3

    assert run(store, "recover", "ann") == 0
    assert "is kept in" in capsys.readouterr().err
    assert run(store, "export", "data", "--labels", "zero") == 0
    review = json.loads((store.path(capsys.readouterr().out.strip()) / "review.json").read_text())
    assert review["reviewed"] == (3 if damage.__name__ in ("empty", "replace_by_text") else 4)
    desk = Desk(settings)
    assert accept(desk, "i/4")["progress"]["done"] >= 2
    desk.close()
    assert run(store, "recover", "ann") == 0
    assert "not damaged" in capsys.readouterr().err


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_written_to_ones_own_damaged_journal(
    world: tuple[Store, DeskSettings], damage: Callable[[Path], None]
) -> None:
    store, settings = world
    compact(store)  # so that no question leads to the damaged page: only checking the file finds it
    path = journal_path(store, "ann")
    damage(path)
    content = path.read_bytes()
    with pytest.raises(DamagedJournalError, match="review recover ann"):
        prepare_desk(store, settings.dataset, "balls", "ann", [settings.labels or ""], None, (), None)
    with pytest.raises(DamagedJournalError, match="review recover ann"):
        Desk(settings)
    assert path.read_bytes() == content


def test_what_is_collected_once_is_never_incomplete(
    world: tuple[Store, DeskSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    store, settings = world
    empty(journal_path(store, "ann"))
    collect = ["--store", store.place.uri, "collect", "--dataset", "data", "--labels", "zero"]
    collect += ["--template", settings.template, "annotator:people", "--annotator.share", "0.3"]
    assert cli.main(collect) == 2
    assert "review recover ann" in capsys.readouterr().err
    assert run(store, "recover", "ann") == 0
    assert cli.main(collect) == 0


def test_a_journal_damaged_while_the_app_is_open_keeps_the_act_in_the_panel(
    world: tuple[Store, DeskSettings],
) -> None:
    desk = Desk(world[1])
    seen = desk.review_instance("i/3", lease=False)
    act = {"instance_id": "i/3", "label_id": seen["label"]["label_id"], "revision": seen["revision"]}
    act |= {"action": "accept", "after": {"verdict": {"action": "accept", "reason": None}}, "seconds": 1.0}
    desk._record._journal._connection.execute("DROP TABLE acts")
    error = answer_of(desk, "review_act", {"act": act})["error"]
    assert error["kind"] == "storage"
    assert "review recover ann" in error["remedy"]
    desk.close()
