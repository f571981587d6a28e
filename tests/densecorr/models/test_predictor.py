"""A model whose answers are known: red and green of a pixel are its place on a flat 'surface', blue its background."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from densecorr.images import from_crop
from densecorr.models import (
    CseModel,
    CseModelSettings,
    DensePrediction,
    Predictor,
    UNetBackbone,
)

SIDE = 16  # vertices lie on a grid of 16 x 16 places in the unit square
PLACES = np.stack(np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE)), axis=-1).reshape(-1, 2)
BOX = (20.0, 10.0, 60.0, 60.0)


class KnownBackbone(nn.Module):
    """Undoes the model's scaling of its input: (u, v, 1, foreground logit) of each cell."""

    stride, out_channels, multiple = 2, 4, 2

    def __init__(self) -> None:
        super().__init__()
        self.hints: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.hints.append(x[:, 3] / 2)
        rgb = avg_pool2d(x[:, :3] / 4 + 0.5, 2)
        return torch.cat([rgb[:, :2], torch.ones_like(rgb[:, :1]), 40 * (0.5 - rgb[:, 2:3])], dim=1)


def make_predictor(temperature: float = 1e-4, crop_size: int = 120) -> tuple[Predictor, KnownBackbone]:
    """<(u, v, 1), (x, y, -(x^2 + y^2) / 2)> is largest for the place nearest (u, v)."""
    settings = CseModelSettings(
        embedding=3,
        temperature=temperature,
        crop_size=crop_size,
        padding=0.05,
        backbone=UNetBackbone(widths=(4,)),
    )
    E = np.concatenate([PLACES, -0.5 * (PLACES**2).sum(axis=1, keepdims=True)], axis=1)
    basis = torch.from_numpy(E).float()
    model = CseModel(settings, basis)
    model.backbone, model.head = backbone, _ = KnownBackbone(), nn.Identity()
    model.basis, model.C = basis[::2], nn.Parameter(torch.eye(3))  # trained on every other vertex
    colors = torch.from_numpy(np.concatenate([PLACES, PLACES[:, :1]], axis=1) * 255).to(torch.uint8)
    return Predictor(model, {"basis": basis, "colors": colors}, {"category": "plane"}), backbone


def place(xy: np.ndarray) -> np.ndarray:
    """What the test image shows at a pixel: the box from corner to corner is the unit square."""
    return (xy + 0.5 - np.array(BOX[:2])) / np.array(BOX[2:])


def make_image() -> np.ndarray:
    ys, xs = np.mgrid[:90, :110]
    uv = place(np.stack([xs, ys], axis=-1).astype(float))
    outside = ((uv < 0) | (uv > 1)).any(axis=-1)
    return np.concatenate([255 * uv.clip(0, 1), 255.0 * outside[..., None]], axis=-1).round().astype(np.uint8)


def make_silhouette() -> np.ndarray:
    return make_image()[..., 2] == 0


def off_the_border(xy: np.ndarray, margin: float = 3.0) -> np.ndarray:
    x, y, w, h = BOX
    return ((xy > [x + margin, y + margin]) & (xy < [x + w - 1 - margin, y + h - 1 - margin])).all(axis=1)


def test_each_pixel_gets_the_vertex_of_what_it_shows() -> None:
    model, _ = make_predictor()
    rng = np.random.default_rng(0)
    xy = rng.uniform([15, 5], [90, 80], (500, 2))  # between pixel centres, too
    vertex, inside = model.vertices_at(model.embed(make_image(), BOX), xy)
    middle = off_the_border(xy)
    off = np.abs(PLACES[vertex[middle]] - place(xy[middle])).max(axis=1)
    assert off.max() < 0.5 / (SIDE - 1) + 0.012  # half the spacing of the places, and rounding of colours
    assert inside[middle].all()
    assert not inside[(np.abs(place(xy) - 0.5) > 0.55).any(axis=1)].any()


def test_a_prediction_covers_its_box_and_agrees_with_single_pixels() -> None:
    model, _ = make_predictor()
    prediction = model.predict(make_image(), BOX)
    assert prediction.vertices.shape == (60, 60)
    assert prediction.vertices.dtype == np.int32
    assert prediction.score > 0.95
    ys, xs = np.mgrid[10:70, 20:80]
    xy = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(float)
    vertex, inside = model.vertices_at(model.embed(make_image(), BOX), xy)
    assert_array_equal(prediction.vertices.ravel(), np.where(inside, vertex, -1))
    full = prediction.vertex_map(90, 110)
    assert_array_equal(full[10:70, 20:80], prediction.vertices)
    assert (full >= 0).sum() == (prediction.vertices >= 0).sum() > 0.95 * 3600


def test_each_vertex_is_found_at_the_pixel_that_shows_it() -> None:
    model, _ = make_predictor(temperature=1e-3)
    inner = np.flatnonzero((np.abs(PLACES - 0.5) < 0.4).all(axis=1))  # with trained vertices all around
    xy = model.pixels_of(model.embed(make_image(), BOX), inner)
    off = np.abs(place(xy) - PLACES[inner]).max(axis=1) * 60
    cell = 2 * 66 / 120  # of the grid, full-image pixels
    assert np.median(off) < cell
    assert off.max() < 2 * cell


@pytest.mark.parametrize("told", [False, True])
def test_pixels_of_vertices_are_foreground(told: bool) -> None:
    model, _ = make_predictor()
    silhouette = make_silhouette()
    if told:
        silhouette[:, :50] = False  # only the right half is the instance
    embedded = model.embed(make_image(), BOX, silhouette if told else None)
    xy = model.pixels_of(embedded, np.arange(len(PLACES)))
    half_a_cell = 66 / 120
    assert (xy >= np.array([50 if told else 20, 10]) - 0.5 - half_a_cell).all()
    assert (xy <= np.array([80, 70]) - 0.5 + half_a_cell).all()


def test_without_any_foreground_all_pixels_compete() -> None:
    model, _ = make_predictor()
    image = make_image()
    image[..., 2] = 255
    embedded = model.embed(image, BOX)
    assert (embedded.logit < 0).all()
    assert np.isfinite(model.pixels_of(embedded, np.arange(5))).all()
    prediction = model.dense(embedded, BOX)
    assert (prediction.vertices == -1).all()
    assert prediction.score == 0.0


def test_the_network_is_told_what_it_found_or_what_it_is_given() -> None:
    model, backbone = make_predictor()
    silhouette = make_silhouette()
    silhouette[:40] = False
    embedded = model.embed(make_image(), BOX)
    given = model.embed(make_image(), BOX, silhouette)
    first, found, _, told = (hint[0] for hint in backbone.hints)
    assert (first == 0).all()
    xs, ys = np.meshgrid(np.arange(120.0), np.arange(120.0))
    xy = from_crop(np.stack([xs, ys], axis=-1), embedded.frame)
    inside = torch.from_numpy(off_the_border(xy.reshape(-1, 2)).reshape(120, 120))
    assert (found[inside] > 0.9).all()
    assert set(told.unique().tolist()) == {-1.0, 1.0}
    lower = inside & torch.from_numpy(xy[..., 1] > 42)
    upper = inside & torch.from_numpy(xy[..., 1] < 38)
    assert (told[lower] == 1).all()
    assert (told[upper] == -1).all()
    assert torch.equal(given.logit, embedded.logit)


def test_a_silhouette_that_is_given_is_the_prediction_s_outline() -> None:
    model, _ = make_predictor()
    silhouette = make_silhouette()
    silhouette[30:50, 40:] = False
    prediction = model.predict(make_image(), BOX, silhouette)
    assert_array_equal(prediction.vertex_map(90, 110) >= 0, silhouette)
    beside = model.vertices_at(
        model.embed(make_image(), BOX, silhouette), np.array([[-5.0, 20.0], [50.0, 95.0]])
    )
    assert_array_equal(beside[1], [False, False])


def test_confidence_is_the_network_s_own_even_in_a_silhouette_it_would_not_find() -> None:
    model, _ = make_predictor()
    own = model.embed(make_image(), BOX)
    wrong = ~make_silhouette()
    told = model.embed(make_image(), BOX, wrong)
    assert model.confidence(own) > 0.95
    assert model.confidence(told) < 0.2
    assert model.dense(told, BOX).score == model.confidence(told)


def test_the_silhouette_found_lies_in_the_full_image() -> None:
    model, _ = make_predictor()
    found, true = model.own_silhouette(model.embed(make_image(), BOX), 90, 110), make_silhouette()
    assert found.shape == (90, 110)
    assert (found & true).sum() / (found | true).sum() > 0.93


@pytest.mark.parametrize(
    "box", [(-30.0, -20.0, 60.0, 50.0), (90.5, 70.0, 60.0, 60.0), (50.0, 40.0, 0.3, 0.2)]
)
def test_a_box_over_the_border_of_the_image_is_cut_to_it(box: tuple[float, float, float, float]) -> None:
    model, _ = make_predictor()
    prediction = model.predict(make_image(), box)
    everywhere = DensePrediction(box, np.zeros_like(prediction.vertices), 1.0).vertex_map(90, 110)
    ys, xs = np.nonzero(everywhere >= 0)
    left, top = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    right = min(110, int(np.floor(box[0])) + max(1, round(box[2])))
    bottom = min(90, int(np.floor(box[1])) + max(1, round(box[3])))
    assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (left, right, top, bottom)
    assert prediction.overlay(make_image(), model.colors).shape == (90, 110, 3)


def test_a_box_beside_the_image_paints_nothing() -> None:
    prediction = DensePrediction((200.0, 5.0, 10.0, 10.0), np.zeros((10, 10), dtype=np.int32), 1.0)
    assert (prediction.vertex_map(90, 110) == -1).all()


def test_the_overlay_mixes_template_colours_over_the_silhouette_only() -> None:
    model, _ = make_predictor()
    image = make_image()
    prediction = model.predict(image, BOX)
    painted = prediction.overlay(image, model.colors)
    vertex = prediction.vertex_map(90, 110)
    assert_array_equal(painted[vertex < 0], image[vertex < 0])
    expected = 0.35 * image[vertex >= 0] + 0.65 * model.colors[vertex[vertex >= 0]]
    assert_allclose(painted[vertex >= 0], expected, atol=1)


# ---- symmetric templates


def mirror_pairs(n: int) -> np.ndarray:
    """0 and 1 are partners, 2 and 3, ...; the last three lie on the plane of symmetry."""
    pairs = np.arange(n)
    pairs[: n - 3] = np.arange(n - 3) ^ 1
    return pairs


def make_symmetric_predictor() -> Predictor:
    """Random weights: by itself the network knows nothing of left and right."""
    torch.manual_seed(3)
    settings = CseModelSettings(
        embedding=6, n_eigenfunctions=8, crop_size=32, padding=0.0, backbone=UNetBackbone(widths=(6, 8))
    )
    full = torch.randn(33, 8)
    model = CseModel(settings, full[:13])
    surface = {
        "basis": full,
        "colors": torch.zeros(33, 3, dtype=torch.uint8),
        "mirror": torch.from_numpy(mirror_pairs(33)),
        "mirror_coarse": torch.from_numpy(mirror_pairs(13)),
    }
    return Predictor(model, surface, {})


def test_on_a_symmetric_template_a_mirrored_image_gets_the_mirrored_answer() -> None:
    model = make_symmetric_predictor()
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    box, box_flipped = (
        (10.0, 4.0, 32.0, 32.0),
        (60.0 - 10 - 32, 4.0, 32.0, 32.0),
    )  # crops of one pixel a pixel
    here = model.embed(image, box)
    there = model.embed(np.ascontiguousarray(image[:, ::-1]), box_flipped)
    torch.testing.assert_close(there.logit.flip(-1), here.logit)
    xy = np.random.default_rng(1).uniform([10, 4], [41, 35], (300, 2))
    xy_flipped = np.stack([59 - xy[:, 0], xy[:, 1]], axis=1)
    vertex, inside = model.vertices_at(here, xy)
    vertex_flipped, inside_flipped = model.vertices_at(there, xy_flipped)
    assert (vertex_flipped == mirror_pairs(33)[vertex]).mean() > 0.99  # all but for rounding
    assert (inside == inside_flipped).mean() > 0.99
    assert (mirror_pairs(33)[vertex] != vertex).mean() > 0.5  # left and right are told apart
    best = model.pixels_of(here, np.arange(33))
    best_flipped = model.pixels_of(there, mirror_pairs(33))
    assert_allclose(best_flipped[:, 0], 59 - best[:, 0], atol=1e-6)
    assert_allclose(best_flipped[:, 1], best[:, 1], atol=1e-6)


def test_a_template_of_mirror_images_on_the_plane_changes_no_answer() -> None:
    """Where each vertex is its own partner, a symmetric image gets the answer it gets without mirroring."""
    model = make_symmetric_predictor()
    itself = {"basis": torch.randn(33, 8), "colors": torch.zeros(33, 3, dtype=torch.uint8)}
    mirrored = {**itself, "mirror": torch.arange(33), "mirror_coarse": torch.arange(13)}
    plain, joined = (Predictor(model._model, surface, {}) for surface in (itself, mirrored))
    half = np.random.default_rng(2).integers(0, 256, (32, 16, 3), dtype=np.uint8)
    image = np.concatenate([half, half[:, ::-1]], axis=1)
    box = (0.0, 0.0, 32.0, 32.0)
    on_the_axis = np.stack([np.full(20, 15.5), np.linspace(2, 29, 20)], axis=1)
    answers = [p.vertices_at(p.embed(image, box), on_the_axis)[0] for p in (plain, joined)]
    assert (answers[0] == answers[1]).mean() > 0.95
