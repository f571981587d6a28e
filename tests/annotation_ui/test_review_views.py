"""The review's fields and saved views in a real FiftyOne data set."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from annotation_ui.review_views import InstanceStatus, sync_review
from annotation_ui.samples import export_dataset
from tests.annotation_ui.herd import COLORS, write_dataset, write_labels


@pytest.mark.mongo
def test_views_show_what_is_to_do_and_what_is_done(fiftyone: Any, tmp_path: Path) -> None:
    folder, labels = (
        write_dataset(tmp_path / "data", [0, 1, 2, 3]),
        write_labels(tmp_path / "labels", [0, 1, 2]),
    )
    export_dataset(folder, [labels], COLORS, "views", overlays=("colors", "error"))
    dataset = fiftyone.load_dataset("views")
    information = {f"s/{i}/{k}": i + k / 10 for i in range(3) for k in range(2)}

    assert sync_review(dataset, {}, information) == 4
    assert sync_review(dataset, {}, information) == 0

    def seen(view: str) -> list[str]:
        return dataset.load_saved_view(view).values("image_id")

    assert seen("needs review") == ["s/2", "s/1", "s/0"]
    assert sorted(seen("probable left/right flip")) == ["s/0", "s/1", "s/2"]
    assert seen("fixed") == seen("annotators disagree") == []
    assert set(seen("low confidence")) <= {"s/0", "s/1", "s/2"}
    assert not dataset.has_saved_view("moments")

    done = {
        "s/2/0": InstanceStatus({"ann": "accept"}, changed=True),
        "s/2/1": InstanceStatus({"ann": "reject", "bo": "accept"}, conflict=True),
        "s/1/1": InstanceStatus({"ann": "skip"}),
    }
    assert sync_review(dataset, done, information) == 2
    assert seen("needs review") == ["s/1", "s/0"]
    assert seen("fixed") == seen("annotators disagree") == ["s/2"]
    sample = dataset.one(fiftyone.ViewField("image_id") == "s/2")
    assert sample.review_verdicts == ["accept", "reject"]

    export_dataset(folder, [labels], COLORS, "views")
    dataset.reload()
    assert seen("fixed") == ["s/2"]
    assert not dataset.has_field("zero_shot_error")


@pytest.mark.mongo
def test_reviewers_are_not_told_what_was_decided(fiftyone: Any, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0, 1])
    labels = write_labels(tmp_path / "labels", [0, 1])
    export_dataset(folder, [labels], COLORS, "blind", blind=True)
    dataset = fiftyone.load_dataset("blind")
    information = {"s/0/0": 1.0, "s/1/0": 2.0}
    sync_review(dataset, {}, information)
    before = dataset._sample_collection.find_one({"image_id": "s/0"})
    decided = {
        "s/0/0": InstanceStatus({"ann": "reject", "bo": "accept"}, changed=True, conflict=True),
        "s/1/1": InstanceStatus({"ann": "accept"}),  # not up for review
    }
    assert sync_review(dataset, decided, information) == 1
    after = dataset._sample_collection.find_one({"image_id": "s/0"})
    assert {key for key in after if after[key] != before.get(key)} == {
        "needs_review",
        "review_information",
        "last_modified_at",
    }
    assert dataset.load_saved_view("needs review").values("image_id") == ["s/1"]
    assert set(dataset.list_saved_views()) == {"needs review", "probable left/right flip", "low confidence"}


@pytest.mark.mongo
def test_images_of_one_moment_are_grouped_by_camera(fiftyone: Any, tmp_path: Path) -> None:
    export_dataset(write_dataset(tmp_path / "data", [0, 1, 2, 3]), [], COLORS, "moments")
    dataset = fiftyone.load_dataset("moments")
    dataset.set_values("camera_id", ["left", "right", "left", "right"])
    dataset.set_values("frame", [7, 7, 8, 8])
    dataset.set_values("source", ["walk"] * 4)
    sync_review(dataset, {}, {})
    view = dataset.load_saved_view("moments")
    assert len(view) == 2
    groups = [group.values("camera_id") for group in view.iter_dynamic_groups()]
    assert groups == [["left", "right"]] * 2


@pytest.mark.mongo
def test_views_that_another_app_replaced_meanwhile_are_saved_once_more(fiftyone: Any, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels", [0])
    export_dataset(write_dataset(tmp_path / "data", [0]), [labels], COLORS, "two")
    dataset = fiftyone.load_dataset("two")
    sync_review(dataset, {}, {})
    # Two Apps that open at once: the list still names views that the other one has replaced.
    importlib.import_module("fiftyone.core.odm").get_db_conn()["views"].delete_many(
        {"_dataset_id": dataset._doc.id}
    )
    sync_review(dataset, {}, {})
    assert dataset.load_saved_view("needs review").values("image_id") == []
