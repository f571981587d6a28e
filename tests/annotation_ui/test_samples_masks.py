"""Masks that reviewers corrected, in FiftyOne: those of the label set that is shown, in place of the data set's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from annotation_ui.samples import export_dataset
from densecorr.review.masks import KEY
from storage.tables import records_to_table, write_tables
from tests.annotation_ui.herd import BOXES, COLORS, label, silhouette, write_dataset, write_labels

IMAGE, K = 1, 1  # the instance that was corrected
KEPT_ROWS = 3  # of its box, from the top


def write_reviewed(folder: Path, n_rows: int, source: str = "correction") -> Path:
    """Labels of images 0 and 1, one with a mask of the upper rows of its box."""
    x, y, w, _ = BOXES[K]
    left, top, right, bottom = x, y, x + w - 1, y + n_rows - 1
    polygon = [
        left - 0.5,
        top - 0.5,
        right + 0.5,
        top - 0.5,
        right + 0.5,
        bottom + 0.5,
        left - 0.5,
        bottom + 0.5,
    ]
    records = [label(i, k, source) for i in range(2) for k in range(2)]
    records[2 * IMAGE + K] = replace(records[2 * IMAGE + K], extra={KEY: [polygon]})
    write_tables(folder, {"labels": records_to_table("labels", records)})
    return folder


def shown(fiftyone: Any, name: str) -> dict[str, Any]:
    """The boxes of FiftyOne's copy by instance."""
    dataset = fiftyone.load_dataset(name)
    dataset.reload()
    return {box.instance_key: box for sample in dataset for box in sample.instances.detections}


def rows_of(box: Any) -> list[int]:
    return np.flatnonzero(box.mask.any(axis=1)).tolist()


@pytest.mark.mongo
def test_a_mask_is_that_of_the_label_set_which_is_shown(fiftyone: Any, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0, 1])
    plain = write_labels(tmp_path / "plain", [0, 1])
    reviewed = write_reviewed(tmp_path / "reviewed", KEPT_ROWS)
    key = f"s/{IMAGE}/{K}"
    export_dataset(folder, [plain], COLORS, "masks")
    before = shown(fiftyone, "masks")
    x, y, w, h = (int(side) for side in BOXES[K])
    assert_array_equal(before[key].mask, silhouette(K)[y : y + h, x : x + w])

    export_dataset(folder, [reviewed], COLORS, "masks")
    after = shown(fiftyone, "masks")
    assert rows_of(after[key]) == [0, 1, 2]
    assert after[key].mask.sum() == KEPT_ROWS * w
    assert (after[key].silhouette_source, after[key].area) == ("correction", KEPT_ROWS * w)
    for other in after.keys() - {key}:
        assert_array_equal(after[other].mask, before[other].mask)
        assert after[other].silhouette_source == "truth"

    # The same labels but for the mask: only that image is written again.
    redrawn = write_reviewed(tmp_path / "redrawn", KEPT_ROWS + 2)
    assert export_dataset(folder, [redrawn], COLORS, "masks").n_updated == 1
    assert rows_of(shown(fiftyone, "masks")[key]) == [0, 1, 2, 3, 4]
    assert export_dataset(folder, [redrawn], COLORS, "masks").n_updated == 0
    export_dataset(folder, [plain], COLORS, "masks")
    assert_array_equal(shown(fiftyone, "masks")[key].mask, before[key].mask)


@pytest.mark.mongo
def test_of_several_masks_the_first_label_sets_is_shown(fiftyone: Any, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0, 1])
    judged = write_reviewed(tmp_path / "judged", 2)
    opinion = write_reviewed(tmp_path / "opinion", 5, source="model")
    export_dataset(folder, [judged, opinion], COLORS, "several")
    assert rows_of(shown(fiftyone, "several")[f"s/{IMAGE}/{K}"]) == [0, 1]


@pytest.mark.mongo
def test_what_only_the_export_needs_to_know_is_not_in_the_sidebar(fiftyone: Any, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", [0])
    for done in ((1, 0), (0, 0)):
        summary = export_dataset(folder, [], COLORS, "sidebar")
        assert (summary.n_added, summary.n_updated) == done
        dataset = fiftyone.load_dataset("sidebar")
        dataset.reload()
        listed = {path for group in dataset.app_config.sidebar_groups for path in group.paths}
        declared = set(dataset.get_field_schema(flat=True))
        assert "instances" in listed
        assert not [path for path in listed | declared if "digest" in path]
        dataset.first().save()  # as a user's own script does: what the export noted stays

    dataset.add_sample_field("densecorr_digest", fiftyone.StringField)  # as earlier exports had it
    export_dataset(folder, [], COLORS, "sidebar")
    dataset.reload()
    assert not dataset.has_field("densecorr_digest")
