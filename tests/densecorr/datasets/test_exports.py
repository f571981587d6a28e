"""The parts that exports share: keys, shards, nesting, and the card's licences."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densecorr.datasets.arrow import IMAGES, INSTANCES, LABELS
from densecorr.datasets.dataset_card import licence_identifier, size_category
from densecorr.datasets.exports import (
    Nesting,
    Selection,
    ShardLimits,
    escape_key,
    plan_shards,
    rows_of_splits,
)
from densecorr.errors import DatasetNotFoundError, ImageError, SettingsError
from densecorr.images import write_png

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.text("a./%2EF~_-", max_size=8)


def images_table(uris: Sequence[str], splits: Sequence[str | None] | None = None) -> pa.Table:
    rows = [
        {"image_id": f"toy/{n}", "uri": uri, "split": splits[n] if splits else None}
        for n, uri in enumerate(uris)
    ]
    return pa.Table.from_pylist(rows, schema=IMAGES)


def selection_of(folder: Path, sizes: list[int]) -> Selection:
    files = [folder / f"{number}.png" for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        file.write_bytes(bytes(size))
    images = images_table([file.name for file in files])
    return Selection(images, INSTANCES.empty_table(), LABELS.empty_table(), places=files)


@given(TEXTS, TEXTS)
def test_keys_differ_where_texts_do_and_have_neither_slash_nor_dot(one: str, other: str) -> None:
    keys = escape_key(one), escape_key(other)
    assert (keys[0] == keys[1]) == (one == other)
    assert unquote(keys[0]) == one
    assert not set("/.\\ ") & set(keys[0])


@pytest.fixture(scope="module")
def sized_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A file of 0 bytes, one of 1, and so on to 9."""
    folder = tmp_path_factory.mktemp("sized")
    return [Path(place) for place in selection_of(folder, list(range(10))).places]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 12))
def test_shards_keep_the_order_and_the_limits(
    sized_files: list[Path], sizes: list[int], most: int, n_bytes: int
) -> None:
    images = images_table([f"{size}.png" for size in sizes])
    places = [sized_files[size] for size in sizes]
    selection = Selection(images, INSTANCES.empty_table(), LABELS.empty_table(), places=places)
    limits = ShardLimits(most, n_bytes / 1e6)
    shards = list(plan_shards(selection, range(len(sizes)), limits))
    assert [row for shard in shards for row in shard] == list(range(len(sizes)))
    for shard, following in zip(shards, [*shards[1:], None], strict=True):
        held = sum(sizes[row] for row in shard)
        assert len(shard) <= most
        assert held <= limits.shard_mb * 1e6 or len(shard) == 1
        if following:  # as full as it may be
            assert len(shard) == most or held + sizes[following[0]] > limits.shard_mb * 1e6


def test_without_images_only_the_number_counts() -> None:
    selection = Selection(IMAGES.empty_table(), INSTANCES.empty_table(), LABELS.empty_table())
    assert list(plan_shards(selection, [3, 1, 2], ShardLimits(2))) == [[3, 1], [2]]
    assert list(plan_shards(selection, [], ShardLimits(2))) == []
    for bad in ((0, 1.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(SettingsError, match="at least 1"):
            ShardLimits(*bad)


@given(st.data())
def test_nesting_is_the_join_by_loops(data: st.DataObject) -> None:
    n_images = data.draw(st.integers(1, 5))
    owners = data.draw(st.lists(st.integers(0, n_images - 1), max_size=8))
    labelled = data.draw(st.lists(st.integers(0, len(owners) - 1), max_size=8)) if owners else []
    instances = [
        {"instance_id": f"i{n}", "image_id": f"toy/{owner}", "xywh": [n, 0, 1, 1], "category": "cow"}
        for n, owner in enumerate(owners)
    ]
    labels = [
        {"label_id": f"l{n}", "instance_id": f"i{owner}", "x": [float(n)] * (n % 3)}
        for n, owner in enumerate(labelled)
    ]
    selection = Selection(
        images_table(["a.png"] * n_images),
        pa.Table.from_pylist(instances, schema=INSTANCES),
        pa.Table.from_pylist(labels, schema=LABELS),
    )
    of_image, of_instance = defaultdict(list), defaultdict(list)
    for row in instances:
        of_image[row["image_id"]].append(row)
    for row in labels:
        of_instance[row["instance_id"]].append(row)
    wanted = data.draw(st.lists(st.integers(0, n_images - 1), unique=True))
    rows = Nesting(selection).take(wanted).to_pylist()
    assert [row["image_id"] for row in rows] == [f"toy/{n}" for n in wanted]
    for row in rows:
        expected = of_image[row["image_id"]]
        assert [one["instance_id"] for one in row["objects"]] == [one["instance_id"] for one in expected]
        for found, one in zip(row["objects"], expected, strict=True):
            assert found["bbox"] == one["xywh"]
            assert [(label["label_id"], label["x"]) for label in found["labels"]] == [
                (label["label_id"], label["x"]) for label in of_instance[one["instance_id"]]
            ]


def test_splits_name_files() -> None:
    assert rows_of_splits(images_table("abc", ["val", "train", "val"])) == {"val": [0, 2], "train": [1]}
    assert rows_of_splits(images_table("abc")) == {"train": [0, 1, 2]}
    assert rows_of_splits(images_table("ab", [None, "train"])) == {"unsplit": [0], "train": [1]}
    for name in ("a-b", "../x", "a b"):
        with pytest.raises(SettingsError, match="letters, digits and _"):
            rows_of_splits(images_table("a", [name]))


def test_a_suffix_comes_from_the_name_or_else_from_the_content(tmp_path: Path) -> None:
    file = tmp_path / "0f3a"
    write_png(file.with_suffix(".png"), np.zeros((2, 2, 3), np.uint8))
    file.with_suffix(".png").rename(file)
    uris = ["A.JPG", "b.jpeg", "https://x.org/a.tif?size=3.gif", "s3://x/y", "video.mov#3", "c.json"]
    selection = Selection(
        images_table(uris), INSTANCES.empty_table(), LABELS.empty_table(), places=[file] * 6
    )
    suffixes = [selection.image_suffix(row) for row in range(6)]
    assert suffixes == [".jpg", ".jpeg", ".tif", ".png", ".png", ".png"]
    file.write_bytes(b"no image")
    with pytest.raises(ImageError, match="0f3a"):
        selection.image_suffix(3)


def test_missing_files_are_named_before_anything_is_written(tmp_path: Path) -> None:
    selection = selection_of(tmp_path, [1, 1, 1])
    selection.check_files()
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"1\.png \(and 1 others\).*--no-images"):
        selection.check_files()


@pytest.mark.parametrize(
    ("name", "address", "identifier"),
    [
        (None, None, "unknown"),
        ("CC BY 4.0", None, "cc-by-4.0"),
        ("CC0", None, "cc0-1.0"),
        ("MIT", None, "mit"),
        (
            "Attribution-NonCommercial-ShareAlike License",
            "http://creativecommons.org/licenses/by-nc-sa/2.0/",
            "cc-by-nc-sa-2.0",
        ),
        ("Attribution-ShareAlike License", "http://creativecommons.org/licenses/by-sa/2.0/", "other"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", None, "cc0-1.0"),
        ("All rights reserved", "", "other"),
    ],
)
def test_licences_have_the_hubs_identifiers(name: str | None, address: str | None, identifier: str) -> None:
    assert licence_identifier(name, address) == identifier


def test_sizes_have_the_hubs_words() -> None:
    words = [size_category(n) for n in (1, 999, 1000, 99_999, 10**6, 10**7)]
    assert words == ["n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "1M<n<10M", "n>10M"]
