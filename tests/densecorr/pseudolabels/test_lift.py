from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import ArtifactError, FeatureError
from densecorr.features import SilhouetteFeatures
from densecorr.features.batching import Picture, extract_all
from densecorr.pseudolabels.lift import (
    cell_centers,
    foreground_cells,
    foreground_rows,
    lift_views,
    nearest_cells,
    read_view_features,
    write_view_features,
)
from densecorr.rendering.cameras import project_points
from densecorr.rendering.rasterize import visible_vertices


def test_a_cell_is_foreground_when_half_of_it_is_covered() -> None:
    mask = torch.zeros(8, 12, dtype=torch.bool)
    mask[:, 2:10] = True  # half of the first and the last column of cells
    mask[4:, 2] = False
    assert_array_equal(foreground_cells(mask, 4), [[True, True, True], [False, True, True]])


@pytest.mark.parametrize("thin", ["a line", "a dot"])
def test_something_remains_of_a_thin_silhouette(thin: str) -> None:
    mask = torch.zeros(16, 16, dtype=torch.bool)
    if thin == "a line":
        mask[5] = True
        expected = torch.zeros(4, 4, dtype=torch.bool).index_fill(0, torch.tensor([1]), True)
    else:
        mask[14, 3] = True
        expected = torch.zeros(4, 4, dtype=torch.bool)
        expected[3, 0] = True
    assert torch.equal(foreground_cells(mask, 4), expected)
    assert not foreground_cells(torch.zeros(16, 16, dtype=torch.bool), 4).any()


def test_centres_of_cells_are_between_pixels_and_run_row_by_row() -> None:
    cells = torch.tensor([[False, True], [True, True]])
    assert_allclose(cell_centers(cells, 4), [[5.5, 1.5], [1.5, 5.5], [5.5, 5.5]])


def test_the_nearest_cell_is_the_first_among_equals() -> None:
    centers = np.array([[1.5, 1.5], [5.5, 1.5], [1.5, 5.5]])
    assert_array_equal(nearest_cells(np.array([[0.0, 0.0], [4.0, 1.0], [3.5, 3.5]]), centers), [0, 1, 0])


def rows_of(image: torch.Tensor, mask: torch.Tensor, extractor) -> tuple[torch.Tensor, np.ndarray]:
    (grid,) = extract_all(extractor, [Picture(image, mask, "a")])
    return foreground_rows(grid, mask, extractor.stride)


def test_rows_are_unit_vectors_one_a_foreground_cell(subject) -> None:
    image = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(32, 48, dtype=torch.bool)
    mask[8:20, 12:44] = True
    rows, centers = rows_of(image, mask, subject.extractor)
    assert rows.shape[0] == len(centers) == 3 * 8
    assert_allclose(rows.norm(dim=1), 1.0, atol=1e-5)
    assert mask[centers[:, 1].astype(int), centers[:, 0].astype(int)].all()
    none, nowhere = rows_of(image, torch.zeros_like(mask), subject.extractor)
    assert none.shape[0] == len(nowhere) == 0


def centers_of(subject, view: int) -> np.ndarray:
    silhouette = torch.from_numpy(subject.rendered.fragments[view].face >= 0)
    return cell_centers(foreground_cells(silhouette, subject.extractor.stride), subject.extractor.stride)


def seen_from(subject, view: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The visible vertices (indices in [0, K)), the nearest foreground cell of each, and their distances to it."""
    camera, fragment = subject.rendered.cameras[view], subject.rendered.fragments[view]
    seen = np.flatnonzero(visible_vertices(subject.V, subject.F, camera, fragment)[subject.vertices])
    xy = project_points(subject.V[subject.vertices[seen]], camera)[0]
    away = np.linalg.norm(xy[:, None] - centers_of(subject, view)[None], axis=-1)
    return seen, away.argmin(axis=1), away.min(axis=1)


def test_visible_vertices_have_the_row_of_the_cell_they_project_to(subject) -> None:
    views = subject.views
    for view in range(len(subject.rendered.cameras)):
        seen, cell, _ = seen_from(subject, view)
        assert_array_equal(np.flatnonzero(views.cell[view] >= 0), seen)
        used, rank = np.unique(cell, return_inverse=True)  # cells without a vertex have no row
        assert views.starts[view + 1] - views.starts[view] == len(used)
        assert_array_equal(views.cell[view].numpy()[seen] - views.starts[view], rank)


def test_a_row_is_its_cell_s_feature_vector(subject) -> None:
    for view in (0, 5):
        fragment, image = subject.rendered.fragments[view], subject.rendered.images[view]
        pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        rows, _ = rows_of(pixels, torch.from_numpy(fragment.face >= 0), subject.extractor)
        used = np.unique(seen_from(subject, view)[1])
        here = slice(int(subject.views.starts[view]), int(subject.views.starts[view + 1]))
        torch.testing.assert_close(subject.views.rows[here], rows[used])


def test_a_cell_belongs_to_the_vertex_nearest_its_centre(subject) -> None:
    n_shared = 0
    for view in range(len(subject.rendered.cameras)):
        seen, cell, away = seen_from(subject, view)
        for row, used in enumerate(np.unique(cell), start=int(subject.views.starts[view])):
            inside = np.flatnonzero(cell == used)
            assert int(subject.views.owner[row]) == seen[inside[away[inside].argmin()]]
            n_shared += len(inside) > 1
    assert n_shared > 100


def test_lifting_again_gives_the_same_bytes(subject) -> None:
    again = lift_views(subject.V, subject.F, subject.rendered, subject.vertices, subject.extractor)
    assert torch.equal(again.rows, subject.views.rows)
    assert torch.equal(again.cell, subject.views.cell)
    assert torch.equal(again.owner, subject.views.owner)


def test_view_features_come_back(subject, tmp_path: Path) -> None:
    views = subject.views
    write_view_features(tmp_path, views, SilhouetteFeatures(position_weight=0.5))
    back, extractor = read_view_features(tmp_path)
    assert extractor == SilhouetteFeatures(position_weight=0.5)
    for name in ("rows", "cell", "owner"):
        assert torch.equal(getattr(back, name), getattr(views, name)), name
    for name in ("starts", "vertices", "angles"):
        assert_array_equal(getattr(back, name), getattr(views, name))


def test_a_folder_without_features_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="features"):
        read_view_features(tmp_path)
    with pytest.raises(ArtifactError, match="features"):
        read_view_features(tmp_path / "none")


class Broken:
    """An extractor that gives NaN for the images whose name says so."""

    stride = 4

    def __call__(self, images: torch.Tensor, silhouettes: torch.Tensor, keys: list[str]) -> torch.Tensor:
        grid = torch.ones(len(images), 2, images.shape[2] // 4, images.shape[3] // 4)
        for index, key in enumerate(keys):
            if "bad" in key:
                grid[index, 0, 0, 0] = torch.nan
        return grid


@pytest.mark.parametrize("batch", [1, 3])
def test_features_that_are_not_numbers_are_an_error_that_names_the_image(batch: int) -> None:
    image, mask = torch.zeros(3, 8, 8), torch.ones(8, 8, dtype=torch.bool)
    pictures = [Picture(image, mask, key) for key in ("one", "two", "a-bad-one", "three")]
    grids = extract_all(Broken(), pictures, batch)
    assert next(grids).shape == (2, 2, 2) if batch == 1 else True
    with pytest.raises(FeatureError, match="a-bad-one"):
        list(grids)


@pytest.mark.parametrize("batch", [0, 1, 2, 5])
def test_batches_do_not_change_the_answer(subject, batch: int) -> None:
    views = lift_views(
        subject.V, subject.F, subject.rendered, subject.vertices, subject.extractor, batch=batch
    )
    torch.testing.assert_close(views.rows, subject.views.rows, atol=1e-5, rtol=0)
