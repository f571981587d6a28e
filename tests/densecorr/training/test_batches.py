"""Batches of plain and of encoded crops."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from densecorr.errors import TrainingError
from densecorr.training.augment import Augmentation, Batch
from densecorr.training.batches import indices_at, sample_batch
from densecorr.training.encoded import Encoding
from densecorr.training.examples import EncodedExamples, Examples, LabelledPoints, write_encoded_examples

STILL = Augmentation(rotation=0.0, scale=0.0, shift=0.0, flip=0.0, brightness=0.0, color=0.0, hint=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def equal(a: Batch, b: Batch) -> None:
    for f in fields(Batch):
        first, second = getattr(a, f.name), getattr(b, f.name)
        assert (first is None and second is None) or torch.equal(first, second), f.name


# ---- which examples


@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (7, 7), (4, 9), (1, 2)])
def test_each_pass_has_every_example_once(n: int, batch_size: int) -> None:
    row = torch.cat([indices_at(n, batch_size, step, 5) for step in range(3 * n)])
    passes = row[: len(row) // n * n].view(-1, n)
    assert (passes.sort(dim=1).values == torch.arange(n)).all()
    if n > 4:
        assert len({tuple(one.tolist()) for one in passes}) > 1  # in another order every time


def test_the_order_depends_on_the_seed() -> None:
    assert indices_at(50, 50, 0, 1).tolist() == indices_at(50, 50, 0, 1).tolist()
    assert indices_at(50, 50, 0, 1).tolist() != indices_at(50, 50, 0, 2).tolist()


# ---- plain crops


def plain_examples(n: int = 5, points: int = 9, side: int = 8) -> Examples:
    """Crop i is of colour i, its point j lies at (j / 2, i) and has vertex j unless i = 0 leaves half of them out."""
    vertex = np.tile(np.arange(points, dtype=np.int32), (n, 1))
    vertex[0, ::2] = -1
    xy = np.stack(np.meshgrid(np.arange(points) / 2, np.arange(n)), axis=-1).astype(np.float32)
    return Examples(
        images=np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, side, side, 3)).copy(),
        silhouettes=np.ones((n, side, side), dtype=bool),
        known=np.arange(n) > 0,
        xy=xy,
        vertex=vertex,
        weight=(1.0 + vertex).astype(np.float32),
    )


def test_a_batch_has_points_of_its_own_crops() -> None:
    examples = plain_examples()
    batch = sample_batch(examples, indices_at(5, 40, 0, 0), 6, torch.arange(9), STILL, generator())
    crop = (batch.images[:, 0, 4, 4] * 255).round().long()
    assert set(crop.tolist()) == {0, 1, 2, 3, 4}
    assert torch.equal(batch.known, crop > 0)
    xy = (batch.xy + 1) * 4 - 0.5
    has = batch.vertex >= 0
    torch.testing.assert_close(xy[..., 1][has], crop[:, None].expand(-1, 6)[has].float())
    torch.testing.assert_close(xy[..., 0][has], batch.vertex[has] / 2)
    torch.testing.assert_close(batch.weight[has], 1.0 + batch.vertex[has])


def test_labelled_points_come_first_and_without_repetition() -> None:
    batch = sample_batch(plain_examples(), indices_at(5, 40, 0, 0), 4, torch.arange(9), STILL, generator())
    assert (batch.vertex >= 0).all()  # crop 0 has just four labels
    assert all(len(set(row.tolist())) == 4 for row in batch.vertex)


def test_a_batch_depends_on_the_generator_alone() -> None:
    examples, settings = plain_examples(), Augmentation()
    first, again, other = (
        sample_batch(examples, torch.arange(5), 4, torch.arange(9), settings, generator(seed))
        for seed in (1, 1, 2)
    )
    equal(first, again)
    assert not torch.equal(first.images, other.images)


def test_the_parts_of_a_batch_make_up_the_batch() -> None:
    parts = slice(0, 2), slice(2, 5)
    examples, settings = plain_examples(), Augmentation()
    whole = sample_batch(examples, torch.arange(5), 4, torch.arange(9), settings, generator())
    made = [
        sample_batch(examples, torch.arange(5), 4, torch.arange(9), settings, generator(), part)
        for part in parts
    ]
    joined = {
        f.name: torch.cat([getattr(part, f.name) for part in made])
        for f in fields(Batch)
        if f.name != "mirrored"
    }
    equal(Batch(**joined), whole)


# ---- encoded crops


def encoded_batch(
    examples: EncodedExamples, level, flip: float, mirrored: bool = True, seed: int = 0
) -> Batch:
    mirror = torch.from_numpy(level.mirror)
    index = torch.arange(len(examples))
    settings = replace(STILL, flip=flip)
    return sample_batch(examples, index, 60, mirror, settings, generator(seed), mirrored=mirrored)


def test_points_lie_where_the_encoded_crop_shows_them(encoded, level, instances) -> None:
    """The encoder passes colours on: at each point stands the colour that the image has there."""
    batch = encoded_batch(encoded, level, flip=0.0)
    seen = grid_sample(batch.images[:, :3], batch.xy[:, None], align_corners=False)[:, :, 0].transpose(1, 2)
    pixel = torch.from_numpy(np.rint(encoded.xy)).long()
    image = torch.stack([torch.from_numpy(one.image) for one in instances]).float() / 255
    order = torch.rand(6, 60, generator=generator()) + (torch.from_numpy(np.array(encoded.vertex)) < 0)
    pixel = pixel.gather(
        1, order.argsort(dim=1)[..., None].expand(-1, -1, 2)
    )  # as the batch picks its points
    there = image[torch.arange(6)[:, None], pixel[..., 1], pixel[..., 0]]
    middle = (batch.vertex >= 0) & (batch.xy.norm(dim=-1) < 0.6)
    assert middle.sum() > 100
    error = (seen - there)[middle].abs().mean()
    beside = (seen - there.roll(1, dims=1))[middle].abs().mean()
    assert error < 0.2 * beside


def test_flipped_encoded_crops_are_the_mirrored_ones_with_mirror_vertices(encoded, level) -> None:
    plain, flipped = (encoded_batch(encoded, level, flip) for flip in (0.0, 1.0))
    assert plain.mirrored is not None
    assert flipped.mirrored is not None
    assert torch.equal(flipped.images, plain.mirrored)
    assert torch.equal(flipped.mirrored, plain.images)
    torch.testing.assert_close(flipped.xy, plain.xy * torch.tensor([-1.0, 1.0]))
    has = plain.vertex >= 0
    assert torch.equal(flipped.vertex[has], torch.from_numpy(level.mirror)[plain.vertex[has]])
    assert torch.equal(flipped.silhouettes, plain.silhouettes.flip(-1))


@pytest.mark.parametrize(("mirrored", "n_grids"), [(False, 6), (True, 12)])
def test_the_mirrored_grids_are_made_only_when_they_are_asked_for(
    encoded, level, monkeypatch: pytest.MonkeyPatch, mirrored: bool, n_grids: int
) -> None:
    taken, read = [], encoded.encoding.read

    class Counted:
        def __init__(self, features: torch.Tensor) -> None:
            self._features = features

        def __getitem__(self, side: int) -> torch.Tensor:
            taken.append(side)
            return self._features[side]

    def counting(row: int, variant: int):
        features, *rest = read(row, variant)
        return Counted(features), *rest

    monkeypatch.setattr(encoded.encoding, "read", counting)
    batch = encoded_batch(encoded, level, 0.5, mirrored=mirrored)
    assert (batch.mirrored is not None) is mirrored
    assert len(taken) == n_grids


def test_variants_are_drawn(encoded, level) -> None:
    first, second = (encoded_batch(encoded, level, 0.0, seed=seed) for seed in (0, 1))
    assert not torch.equal(first.images, second.images)


def test_damaged_features_name_their_instance(make_encoding, instances, level, tmp_path: Path) -> None:
    folder = make_encoding(tmp_path / "encoding", damage="globe/4")
    labels = [LabelledPoints(f"globe/{i}", one.xy, one.vertex, one.weight) for i, one in enumerate(instances)]
    examples = write_encoded_examples(tmp_path / "labels", Encoding(folder), labels, 6, 60, seed=0)
    with pytest.raises(TrainingError, match="'globe/4'"):
        encoded_batch(examples, level, 0.0)


def test_labels_of_an_instance_that_is_not_encoded_are_an_error(
    make_encoding, instances, tmp_path: Path
) -> None:
    one = instances[0]
    labels = [LabelledPoints("globe/77", one.xy, one.vertex, one.weight)]
    with pytest.raises(TrainingError, match=r"'globe/77'.*same data set and split"):
        write_encoded_examples(
            tmp_path / "labels", Encoding(make_encoding(tmp_path / "encoding")), labels, 1, 60, seed=0
        )
