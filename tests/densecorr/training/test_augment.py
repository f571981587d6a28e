from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from densecorr.training.augment import Augmentation, Batch, apply_change, draw_change, flip_batch

SIDE = 64
MIRROR = torch.tensor([1, 0, 2, 4, 3])
STILL = Augmentation(rotation=0.0, scale=0.0, shift=0.0, flip=0.0, brightness=0.0, color=0.0, hint=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dot(x: float, y: float) -> Tensor:
    """A soft dot at a place in pixels."""
    ys, xs = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    return torch.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 2.0**2))


def centroid(image: Tensor) -> Tensor:
    ys, xs = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    return torch.stack([(image * xs).sum(), (image * ys).sum()]) / image.sum()


def normalised(xy: Tensor) -> Tensor:
    return (xy + 0.5) * (2 / SIDE) - 1


def dotted_batch(n: int = 12, seed: int = 0) -> Batch:
    """Crops with a dot in each colour channel and in the silhouette, and points at the four dots."""
    xy = 20 + 24 * torch.rand(n, 4, 2, generator=generator(seed))
    dots = torch.stack([torch.stack([dot(*point.tolist()) for point in points]) for points in xy])
    return Batch(
        images=0.9 * dots[:, :3],
        silhouettes=dots[:, 3],
        known=torch.ones(n, dtype=torch.bool),
        hint=torch.zeros(n, SIDE, SIDE),
        xy=normalised(xy),
        vertex=torch.tensor([0, 3, -1, 2]).repeat(n, 1),
        weight=torch.rand(n, 4, generator=generator(seed)),
    )


def changed_by(batch: Batch, settings: Augmentation, draws: torch.Generator) -> Batch:
    return apply_change(batch, MIRROR, draw_change(len(batch.images), settings, draws))


def equal(a: Batch, b: Batch, atol: float = 0.0) -> None:
    for f in fields(Batch):
        first, second = getattr(a, f.name), getattr(b, f.name)
        assert (first is None) == (second is None)
        if first is not None:
            torch.testing.assert_close(first, second, atol=atol, rtol=0, msg=f.name)


# ---- geometry


@pytest.mark.parametrize(
    "settings",
    [
        replace(STILL, rotation=40.0),
        replace(STILL, scale=0.3),
        replace(STILL, shift=0.1),
        replace(STILL, flip=1.0),
        replace(STILL, rotation=17.0, scale=0.2, shift=0.06, flip=0.5),
    ],
)
def test_points_follow_what_is_painted_under_them(settings: Augmentation) -> None:
    batch = dotted_batch()
    warped = changed_by(batch, settings, generator(1))
    assert float((warped.xy - batch.xy).abs().max()) > 0.05
    xy = (warped.xy + 1) * (SIDE / 2) - 0.5
    layers = torch.cat([warped.images, warped.silhouettes[:, None]], dim=1)
    checked = 0
    for index in range(len(xy)):
        for point in range(4):
            if ((xy[index, point] > 9) & (xy[index, point] < SIDE - 10)).all():  # the whole dot is inside
                torch.testing.assert_close(
                    centroid(layers[index, point]), xy[index, point], atol=0.05, rtol=0
                )
                checked += 1
    assert checked > 24


def test_ranges_are_kept_and_used() -> None:
    batch = dotted_batch(64)
    turned = changed_by(batch, replace(STILL, rotation=30.0), generator(2)).xy
    before, after = (torch.atan2(p[..., 1], p[..., 0])[:, 0] for p in (batch.xy, turned))
    turn = torch.rad2deg(torch.remainder(after - before + torch.pi, 2 * torch.pi) - torch.pi)
    assert float(turn.abs().max()) <= 30.001
    assert float(turn.min()) < -20
    assert float(turn.max()) > 20
    moved = (changed_by(batch, replace(STILL, shift=0.1), generator(3)).xy - batch.xy)[:, 0] / 2
    assert 0.07 < float(moved.abs().max()) <= 0.1001
    scaled = changed_by(batch, replace(STILL, scale=0.3), generator(4)).xy.norm(dim=-1)
    ratio = (scaled / batch.xy.norm(dim=-1)).log()
    assert 0.2 < float(ratio.abs().max()) <= 0.3001


def test_nothing_changes_without_any_range() -> None:
    batch = dotted_batch()
    equal(changed_by(batch, STILL, generator()), batch, atol=1e-5)


def test_flipping_takes_labels_to_their_mirror_and_twice_is_the_identity() -> None:
    batch, settings = dotted_batch(), replace(STILL, flip=1.0)
    once = changed_by(batch, settings, generator())
    assert once.vertex[0].tolist() == [1, 4, -1, 2]
    torch.testing.assert_close(once.images, batch.images.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(once.xy, batch.xy * torch.tensor([-1.0, 1.0]))
    equal(changed_by(once, settings, generator(9)), batch, atol=1e-5)


def test_half_of_the_crops_are_flipped_and_only_their_labels_change() -> None:
    batch = dotted_batch(64)
    warped = changed_by(batch, replace(STILL, flip=0.5), generator(5))
    flipped = (warped.xy[:, 0, 0] * batch.xy[:, 0, 0]) < 0
    assert 16 < int(flipped.sum()) < 48
    assert (warped.vertex[flipped][:, 0] == 1).all()
    assert (warped.vertex[~flipped][:, 0] == 0).all()


def test_points_that_leave_the_crop_lose_their_label_and_others_keep_it() -> None:
    batch = dotted_batch(64)
    warped = changed_by(batch, replace(STILL, scale=1.5, shift=0.3), generator(6))
    gone = (warped.xy.abs() > 1).any(dim=-1)
    well_inside = (warped.xy.abs() < 0.98).all(dim=-1)
    assert 10 < int(gone.sum()) < gone.numel() - 10
    assert (warped.vertex[gone] == -1).all()
    assert torch.equal(warped.vertex[well_inside], batch.vertex[well_inside])


def test_flip_batch_mirrors_everything_but_the_labels() -> None:
    batch = replace(dotted_batch(), hint=torch.rand(12, SIDE, SIDE, generator=generator()))
    flipped = flip_batch(batch)
    torch.testing.assert_close(flipped.images, batch.images.flip(-1))
    torch.testing.assert_close(flipped.hint, batch.hint.flip(-1))
    assert torch.equal(flipped.vertex, batch.vertex)
    where = (flipped.xy[0, 0] + 1) * (SIDE / 2) - 0.5
    torch.testing.assert_close(centroid(flipped.images[0, 0]), where, atol=0.05, rtol=0)
    equal(flip_batch(flipped), batch)


# ---- colour and hint


def test_colours_stay_in_range_and_shift_by_channel() -> None:
    batch = dotted_batch(32)
    changed = changed_by(batch, replace(STILL, brightness=0.5, color=0.3), generator(7)).images
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    background = changed[:, :, 0, 0]  # black before, so the offset alone
    assert 0.2 < float(background.max()) <= 0.3001
    assert float(background.std(dim=1).mean()) > 0.02


def test_the_hint_tells_the_silhouette_where_it_is_known_and_ends_the_task_of_finding_it() -> None:
    batch = replace(dotted_batch(64), known=torch.arange(64) % 2 == 0)
    always = changed_by(batch, replace(STILL, hint=1.0), generator())
    torch.testing.assert_close(always.hint[::2], 2 * always.silhouettes[::2] - 1)
    assert (always.hint[1::2] == 0).all()
    assert not always.known.any()
    never = changed_by(batch, STILL, generator())
    assert (never.hint == 0).all()
    assert torch.equal(never.known, batch.known)
    sometimes = changed_by(batch, replace(STILL, hint=0.5), generator(8))
    told = (sometimes.hint != 0).flatten(1).any(dim=1)
    assert 6 < int(told.sum()) < 26
    assert torch.equal(sometimes.known, batch.known & ~told)
