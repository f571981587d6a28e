"""FiftyOne data sets for reviewers: theirs alone, with what they look at and without what they must not see."""

from pathlib import Path
from typing import Any

import pytest

from annotation_ui.samples import export_dataset
from densecorr.errors import SettingsError
from tests.annotation_ui.herd import COLORS, N_POINTS, write_dataset, write_labels


@pytest.mark.mongo
def test_fields_that_other_reviewers_look_at_stay(fiftyone: Any, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0, 1])
    zero = write_labels(tmp_path / "zero", [0, 1])
    model = write_labels(tmp_path / "model", [0, 1], source="model")
    export_dataset(folder, [zero, model], COLORS, "shared", blind=True)
    export_dataset(folder, [zero], COLORS, "shared", blind=True)  # another reviewer, without the opinion
    dataset = fiftyone.load_dataset("shared")
    assert dataset.has_field("model")
    assert dataset.has_field("model_points")
    assert {"zero_shot", "model"} <= {colors["path"] for colors in dataset.app_config.color_scheme.fields}
    with pytest.raises(SettingsError, match="'shared', a FiftyOne data set for reviewers"):
        export_dataset(folder, [zero], COLORS, "shared")  # would show what was decided to all of them
    export_dataset(folder, [zero, model], COLORS, "browsed")
    with pytest.raises(SettingsError, match="'browsed', a FiftyOne data set to browse"):
        export_dataset(folder, [zero], COLORS, "browsed", blind=True)
    export_dataset(folder, [zero], COLORS, "browsed")
    dataset = fiftyone.load_dataset("browsed")
    assert not dataset.has_field("model")
    assert dataset.has_field("zero_shot")


@pytest.mark.mongo
def test_the_truth_leaves_the_database_once_it_must_not_be_seen(fiftyone: Any, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0, 1])
    zero = write_labels(tmp_path / "zero", [0, 1])
    export_dataset(folder, [zero], COLORS, "gold", overlays=("colors", "iuv"), blind=True)
    dataset = fiftyone.load_dataset("gold")
    assert {"truth", "truth_points", "truth_dense"} <= set(dataset.get_field_schema())
    # The data set's own labels by another way; a reviewer who has no gold, where another has.
    for labels, with_truth in (([zero], False), ([zero, folder], False), ([zero], True)):
        summary = export_dataset(folder, labels, COLORS, "gold", blind=True, with_truth=with_truth)
        dataset.reload()
        assert list(summary.n_points) == ["zero_shot"]
        stored = [
            *dataset.get_field_schema(),
            *(key for one in dataset._sample_collection.find() for key in one),
        ]
        assert [field for field in stored if field.startswith("truth")] == []
        assert [rule["path"] for rule in dataset.app_config.color_scheme.fields] == ["instances", "zero_shot"]
    assert dataset.count("zero_shot.keypoints.point_id[]") == 4 * N_POINTS
