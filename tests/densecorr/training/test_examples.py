from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import TrainingError
from densecorr.training.examples import Examples, LabelledInstance, read_examples, write_examples


def write(folder: Path, instances, n_points: int = 60, seed: int = 0, size: int = 32) -> Examples:
    return write_examples(folder, instances, len(instances), size, 0.1, n_points, seed)


def test_points_lie_on_the_same_thing_in_the_crop(tmp_path: Path, instances: list[LabelledInstance]) -> None:
    """The globe is painted by place, so that a pixel's colour tells its vertex."""
    examples = write(tmp_path, instances, size=96)
    assert examples.images.shape == (6, 96, 96, 3)
    for index, instance in enumerate(instances):
        kept = {int(v) for v in examples.vertex[index]}
        assert kept == set(instance.vertex.tolist())
        x, y = np.rint(examples.xy[index]).astype(int).T
        assert examples.silhouettes[index][y.clip(0, 95), x.clip(0, 95)].mean() > 0.95
        for vertex in kept:
            here = examples.images[index][y, x][examples.vertex[index] == vertex].astype(float).mean(axis=0)
            xy = np.rint(instance.xy[instance.vertex == vertex]).astype(int)
            there = instance.image[xy[:, 1], xy[:, 0]].astype(float).mean(axis=0)
            assert_allclose(here, there, atol=25)


def test_crops_have_the_padding_around_the_box(tmp_path: Path, instances: list[LabelledInstance]) -> None:
    examples = write(tmp_path, instances, size=48)
    for mask in examples.silhouettes:
        ys, xs = np.nonzero(mask)
        extent = max(np.ptp(xs), np.ptp(ys)) + 1
        assert extent == pytest.approx(48 / 1.2, abs=2)
        assert (xs.min() + xs.max()) / 2 == pytest.approx(23.5, abs=1)


def test_of_too_many_points_a_seeded_sample_is_kept(
    tmp_path: Path, instances: list[LabelledInstance]
) -> None:
    first, again, other = (
        write(tmp_path / name, instances, n_points=20, seed=seed)
        for name, seed in [("a", 0), ("b", 0), ("c", 1)]
    )
    assert first.xy.shape == (6, 20, 2)
    assert (first.vertex >= 0).all()
    assert_array_equal(first.xy, again.xy)
    assert not np.array_equal(first.xy, other.xy)
    assert len(np.unique(first.xy[0], axis=0)) == 20


def test_places_without_a_point_have_no_vertex_and_no_weight(
    tmp_path: Path, instances: list[LabelledInstance]
) -> None:
    few = replace(
        instances[0], xy=instances[0].xy[:3], vertex=np.array([4, -1, 5]), weight=np.array([0.5, 1.0, 2.0])
    )
    examples = write(tmp_path, [few], n_points=10)
    assert sorted(examples.vertex[0].tolist()) == [-1] * 8 + [4, 5]
    assert examples.weight[0].sum() == pytest.approx(3.5)
    assert examples.weight[0][examples.vertex[0] == 4] == [0.5]


def test_an_instance_without_a_silhouette_is_marked(
    tmp_path: Path, instances: list[LabelledInstance]
) -> None:
    examples = write(tmp_path, [replace(instances[0], silhouette=None), instances[1]])
    assert examples.known.tolist() == [False, True]
    assert not examples.silhouettes[0].any()
    assert len(examples) == 2


class Interrupted:
    """Instances that end in an error, as when an image cannot be read or the process is killed."""

    def __init__(self, instances: list[LabelledInstance]) -> None:
        self._instances = instances

    def __len__(self) -> int:
        return len(self._instances)

    def __iter__(self) -> Iterator[LabelledInstance]:
        yield from self._instances[:2]
        raise KeyboardInterrupt


def test_half_written_examples_are_started_again_and_whole_ones_reused(
    tmp_path: Path, instances: list[LabelledInstance]
) -> None:
    straight = write(tmp_path / "straight", instances)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "broken", Interrupted(instances))
    again = write(tmp_path / "broken", instances)
    for name in ("images", "silhouettes", "known", "xy", "vertex", "weight"):
        assert getattr(again, name).tobytes() == getattr(straight, name).tobytes(), name
    reused = write(tmp_path / "broken", Interrupted(instances))  # it is not read again
    assert reused.xy.tobytes() == straight.xy.tobytes()


def test_reading_maps_the_files_instead_of_loading_them(
    tmp_path: Path, instances: list[LabelledInstance]
) -> None:
    write(tmp_path, instances)
    examples = read_examples(tmp_path)
    assert isinstance(examples.images, np.memmap)
    assert not examples.images.flags.writeable


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="filter"):
        write(tmp_path, [])
