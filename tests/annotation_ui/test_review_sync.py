"""`review open` and `review sync` leave saved views of what was decided, in a real FiftyOne data set."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotation_ui.desk import Desk
from annotation_ui.desk_settings import VARIABLE, DeskSettings
from densecorr.errors import SettingsError
from flows.review import ReviewOpen, main
from flows.review_orders import Order, write_order
from flows.review_sync import ReviewSync
from flows.session import Session
from storage.artifacts import Store
from tests.annotation_ui.review_world import accept, act_on, moved, point_of


@pytest.mark.mongo
def test_saved_views_follow_the_decisions(
    fiftyone: Any, world: tuple[Store, DeskSettings], capsys: pytest.CaptureFixture
) -> None:
    store, settings = world
    session = Session(store.place.uri)
    with pytest.raises(SettingsError, match="exported to FiftyOne"):
        ReviewSync("data", "zero", "decided")(session)
    fiftyone.Dataset("stranger")
    with pytest.raises(SettingsError, match="'stranger', which came from elsewhere"):
        ReviewSync("data", "zero", "stranger")(session)
    main(ReviewOpen("data", labels=("zero",), name="decided", export_only=True), store)
    dataset = fiftyone.load_dataset("decided")

    def seen(view: str) -> list[str]:
        dataset.reload()
        return dataset.load_saved_view(view).values("image_id")

    assert seen("needs review") == [f"m{i}" for i in range(5)]
    desk = Desk(settings)
    accept(desk, "i/0")
    change = moved(point_of(desk, "i/3", 0), x=2.0)
    desk.review_act(act_on(desk, "i/3", "move", change, point_id=0))
    accept(desk, "i/3")
    desk.close()
    ReviewSync("data", "zero", "decided")(session)
    assert "2 images of 'decided' changed" in "".join(capsys.readouterr())
    assert seen("needs review") == ["m1", "m2", "m4"]
    assert seen("fixed") == ["m3"]


@pytest.mark.mongo
def test_reviewers_open_a_data_set_of_their_own_without_what_they_must_not_see(
    fiftyone: Any,
    world: tuple[Store, DeskSettings],
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, settings = world
    for name in (VARIABLE, "FIFTYONE_PLUGINS_DIR", "FIFTYONE_DEFAULT_APP_ADDRESS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    browse = ReviewOpen("data", labels=("zero",), name="tried", export_only=True)
    main(browse, store)
    main(replace(browse, reviewer="ann"), store)
    of_reviewers = fiftyone.load_dataset("tried-review")
    assert of_reviewers.has_field("truth")  # no gold: to compare with is fine
    write_order(store, settings.dataset, "bo", Order(("i/0", "i/1"), gold=("i/1",)))
    main(replace(browse, reviewer="ann"), store)  # what bo must not see, ann could tell
    of_reviewers.reload()
    assert not of_reviewers.has_field("truth")

    desk = Desk(settings)
    accept(desk, "i/0")
    desk.close()
    capsys.readouterr()
    ReviewSync("data", "zero", "tried")(Session(store.place.uri))
    said = "".join(capsys.readouterr())
    assert "1 images of 'tried' changed" in said
    assert "1 images of 'tried-review' changed" in said
    browsed = fiftyone.load_dataset("tried")
    assert browsed.has_field("truth")
    assert browsed.load_saved_view("needs review").values("image_id") == ["m1"]
    assert browsed.distinct("review_verdicts") == ["accept"]
    of_reviewers.reload()
    assert of_reviewers.load_saved_view("needs review").values("image_id") == ["m1"]
    assert not of_reviewers.has_field("review_verdicts")
    with pytest.raises(SettingsError, match="'tried-review', a FiftyOne data set for reviewers"):
        main(replace(browse, name="tried-review"), store)
