"""A small data set written as tables, shown in FiftyOne, and read back from there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from annotation_ui.label_sets import read_label_sets
from annotation_ui.samples import export_dataset, image_root, remove_dataset
from densecorr.errors import AnnotationError, DatasetNotFoundError, SettingsError
from storage.tables import records_to_table, write_tables
from tests.annotation_ui.herd import (
    BOXES,
    COLORS,
    HEIGHT,
    N_POINTS,
    WIDTH,
    label,
    silhouette,
    write_dataset,
    write_labels,
)


def test_label_sets_are_named_by_their_source_and_stay_apart(tmp_path: Path) -> None:
    folders = [write_labels(tmp_path / name, [0, 1]) for name in ("0123456789ab", "fedcba987654")]
    empty = tmp_path / "empty"
    write_tables(empty, {"labels": records_to_table("labels", [])})
    sets = read_label_sets(write_dataset(tmp_path / "data", [0, 1]), [*folders, empty])
    assert [labels.field for labels in sets] == ["truth", "zero_shot", "zero_shot_fedcba98"]
    found = sets[1].of(["s/1/0", "s/7/0"])
    assert list(found) == ["s/1/0"]
    assert_array_equal(found["s/1/0"][0].vertex, label(1, 0, "zero_shot").vertex)


def test_the_image_root_is_taken_from_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"dataset\.json"):
        image_root(tmp_path)
    (tmp_path / "dataset.json").write_text('{"image_root": "/data/coco"}')
    assert image_root(tmp_path) == Path("/data/coco")


def points_of(sample: Any, field: str) -> dict[tuple[str, int], tuple[float, float, int, str]]:
    """(instance, point id) -> x, y in pixels, vertex, colour."""
    return {
        (keypoint.instance_key, point_id): (x * WIDTH - 0.5, y * HEIGHT - 0.5, vertex, keypoint.color)
        for keypoint in sample[field].keypoints
        for (x, y), point_id, vertex in zip(keypoint.points, keypoint.point_id, keypoint.vertex, strict=True)
    }


@pytest.mark.mongo
def test_exporting_twice_shows_everything_once(fiftyone: Any, tmp_path: Path) -> None:
    folder, labels = write_dataset(tmp_path / "data", [0, 1, 2]), write_labels(tmp_path / "labels", [0, 1])
    seen: list[tuple[int, int]] = []

    def export() -> Any:
        return export_dataset(
            folder,
            [labels],
            COLORS,
            "twice",
            overlays=("colors",),
            batch_size=2,
            progress=lambda *at: seen.append(at),
        )

    first = export()
    dataset = fiftyone.load_dataset("twice")
    sample = dataset.first()
    sample.tags.append("mine")
    sample.save()
    ids = dataset.values(["id", "instances.detections.id", "truth.keypoints.id"])
    second = export()
    dataset.reload()
    assert seen == [(2, 3), (3, 3)] * 2
    assert (first.n_added, first.n_updated, first.n_removed) == (3, 0, 0)
    assert (second.n_added, second.n_updated, second.n_removed) == (0, 0, 0)
    for summary in (first, second):
        assert (summary.n_images, summary.n_instances) == (3, 6)
        assert summary.n_points == {"truth": 6 * N_POINTS, "zero_shot": 4 * N_POINTS}
        assert (summary.n_missing_files, summary.n_strange_labels, summary.uncolored_templates) == (0, 0, ())
    assert len(dataset) == 3
    assert dataset.count("instances.detections") == 6
    assert dataset.count("truth.keypoints.point_id[]") == 6 * N_POINTS
    assert dataset.values(["id", "instances.detections.id", "truth.keypoints.id"]) == ids
    assert dataset.values("tags") == [["mine"], [], []]


@pytest.mark.mongo
def test_only_what_changed_is_written_again(fiftyone: Any, tmp_path: Path) -> None:
    folder, labels = write_dataset(tmp_path / "data", [0, 1, 2]), write_labels(tmp_path / "labels", [0, 1, 2])
    export_dataset(folder, [labels], COLORS, "some")
    records = [label(i, k, "zero_shot") for i in range(3) for k in range(2)]
    records[3] = replace(records[3], vertex=np.full(N_POINTS, 7))
    write_tables(tmp_path / "corrected", {"labels": records_to_table("labels", records)})
    summary = export_dataset(folder, [tmp_path / "corrected"], COLORS, "some")
    assert (summary.n_added, summary.n_updated, summary.n_removed) == (0, 1, 0)
    sample = fiftyone.load_dataset("some").one(fiftyone.ViewField("image_id") == "s/1")
    assert {v for key, (*_, v, _) in points_of(sample, "zero_shot").items() if key[0] == "s/1/1"} == {7}
    recolored = {"cow-v1": COLORS["cow-v1"][::-1].copy()}
    assert export_dataset(folder, [tmp_path / "corrected"], recolored, "some").n_updated == 3


@pytest.mark.mongo
def test_what_is_shown_is_what_the_tables_say(fiftyone: Any, tmp_path: Path) -> None:
    folder, labels = write_dataset(tmp_path / "data", [0, 1]), write_labels(tmp_path / "labels", [0, 1])
    export_dataset(folder, [labels], COLORS, "shown", overlays=("colors",))
    dataset = fiftyone.load_dataset("shown")
    sample = dataset.one(fiftyone.ViewField("image_id") == "s/1")
    assert sample.filepath == str(folder / "1.png")
    assert sample.split == "train"
    for k, box in enumerate(sample.instances.detections):
        x, y, w, h = (int(side) for side in BOXES[k])
        assert box.label == "cow"
        assert_allclose(np.multiply(box.bounding_box, [WIDTH, HEIGHT] * 2), BOXES[k])
        assert_array_equal(box.mask, silhouette(k)[y : y + h, x : x + w])
    for field, source in (("truth", "human"), ("zero_shot", "zero_shot")):
        shown = points_of(sample, field)
        assert len(shown) == 2 * N_POINTS
        for k in range(2):
            wanted = label(1, k, source)
            assert wanted.point_ids is not None
            for i, point_id in enumerate(wanted.point_ids):
                x, y, vertex, color = shown[f"s/1/{k}", int(point_id)]
                assert_allclose([x, y], [wanted.x[i], wanted.y[i]], atol=1e-4)
                assert vertex == wanted.vertex[i]
                near = np.array([int(color[j : j + 2], 16) for j in (1, 3, 5)])
                exact = COLORS["cow-v1"][vertex].astype(int) if vertex >= 0 else np.full(3, 153)
                assert np.abs(near - exact).max() <= (0 if vertex < 0 else 25)
    scores = np.concatenate([label(1, k, "zero_shot").score for k in range(2)])  # type: ignore[list-item]
    assert_allclose(sample.zero_shot_score, np.nanmean(scores), rtol=1e-6)
    assert_allclose(sample.zero_shot_expected_error, 0.15, rtol=1e-6)
    assert sample.zero_shot_mirrored == 1
    assert sample.truth_mirrored == 0
    assert not dataset.has_field("truth_expected_error") or sample.truth_expected_error is None
    overlay = sample.truth_dense.mask
    assert_array_equal(overlay.any(axis=2), silhouette(0) | silhouette(1))
    rules = {rule["path"]: rule for rule in dataset.app_config.color_scheme.fields}
    colors = {value["value"]: value["color"] for value in rules["truth"]["valueColors"]}
    assert rules["truth"]["colorByAttribute"] == "color"
    assert set(colors) >= {color for *_, color in points_of(sample, "truth").values()}
    assert all(value == color for value, color in colors.items())


@pytest.mark.mongo
def test_an_export_follows_the_tables_when_they_shrink(fiftyone: Any, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels", [0, 1, 2])
    export_dataset(
        write_dataset(tmp_path / "data", [0, 1, 2]), [labels], COLORS, "shrink", overlays=("colors",)
    )
    dataset = fiftyone.load_dataset("shrink")
    dataset.add_sample_field("note", fiftyone.StringField)
    smaller = write_dataset(tmp_path / "smaller", [1, 2, 3])
    (smaller / "3.png").unlink()
    summary = export_dataset(smaller, [labels], {}, "shrink")
    assert (summary.n_added, summary.n_updated, summary.n_removed) == (1, 2, 1)
    assert (summary.n_missing_files, summary.n_strange_labels) == (1, 2)
    assert summary.uncolored_templates == ("cow-v1",)
    assert "1 image files are missing" in str(summary)
    assert sorted(dataset.values("image_id")) == ["s/1", "s/2", "s/3"]
    assert not dataset.has_field("truth_dense")
    export_dataset(smaller, [], COLORS, "shrink")
    dataset.reload()
    assert not any(dataset.has_field(field) for field in ("zero_shot", "zero_shot_score", "zero_shot_points"))
    assert dataset.has_field("truth")
    assert dataset.has_field("note")


@pytest.mark.mongo
def test_data_sets_of_others_are_left_alone(fiftyone: Any, tmp_path: Path) -> None:
    fiftyone.Dataset("theirs").add_sample(fiftyone.Sample(filepath="/nowhere.png"))
    with pytest.raises(SettingsError, match="theirs"):
        export_dataset(write_dataset(tmp_path / "data", [0]), [], COLORS, "theirs")
    with pytest.raises(SettingsError, match="theirs"):
        remove_dataset("theirs")
    assert len(fiftyone.load_dataset("theirs")) == 1


@pytest.mark.mongo
def test_a_removed_data_set_is_gone(fiftyone: Any, tmp_path: Path) -> None:
    export_dataset(write_dataset(tmp_path / "data", [0]), [], COLORS, "gone")
    remove_dataset("gone")
    assert not fiftyone.dataset_exists("gone")
    with pytest.raises(SettingsError, match="gone"):
        remove_dataset("gone")


@pytest.mark.mongo
@pytest.mark.usefixtures("fiftyone")
def test_labels_of_another_template_are_an_error(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0])
    wrong = replace(label(0, 0, "model"), vertex=np.full(N_POINTS, 50))
    write_tables(tmp_path / "wrong", {"labels": records_to_table("labels", [wrong])})
    with pytest.raises(AnnotationError, match="received 50"):
        export_dataset(folder, [tmp_path / "wrong"], COLORS, "wrong")


@pytest.mark.mongo
def test_points_are_the_documents_that_fiftyones_own_objects_become(fiftyone: Any, tmp_path: Path) -> None:
    folder, labels = write_dataset(tmp_path / "data", [0]), write_labels(tmp_path / "labels", [0])
    export_dataset(folder, [labels], COLORS, "documents")
    dataset = fiftyone.load_dataset("documents")
    for field in ("truth", "zero_shot"):
        stored = dataset._sample_collection.find_one()[field]
        loaded = dataset.first()[field]
        assert len(loaded.keypoints) > 10
        assert (
            dict(loaded.to_mongo()) | {"keypoints": [dict(one.to_mongo()) for one in loaded.keypoints]}
            == stored
        )
        made = fiftyone.Keypoint(
            id=loaded.keypoints[0].id,
            **{
                name: value
                for name, value in stored["keypoints"][0].items()
                if name[0] != "_" and name != "attributes"
            },
        )
        assert dict(made.to_mongo()) == stored["keypoints"][0]
    stored = dataset._sample_collection.find_one()["instances"]
    for one, loaded in zip(stored["detections"], dataset.first().instances.detections, strict=True):
        given = {
            key: value for key, value in one.items() if key[0] != "_" and key not in ("attributes", "mask")
        }
        made = fiftyone.Detection(id=str(one["_id"]), **given)
        assert dict(made.to_mongo()) == {key: value for key, value in one.items() if key != "mask"}
        assert loaded.mask.any()
    dataset.first().save()  # every declared type fits
    assert dataset.match_labels(filter=fiftyone.ViewField("vertex").contains(-1)).count() == 1
