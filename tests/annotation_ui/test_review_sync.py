"""`review open` and `review sync` leave saved views of what was decided, in a real FiftyOne data set."""

from typing import Any

import pytest

from annotation_ui.desk import Desk
from annotation_ui.desk_settings import DeskSettings
from densecorr.errors import SettingsError
from flows.review import ReviewOpen, main
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
