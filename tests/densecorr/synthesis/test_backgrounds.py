from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from densecorr.errors import DatasetNotFoundError, ImageError
from densecorr.images import write_png
from densecorr.synthesis.backgrounds import crop_background, draw_noise, draw_scene, list_backgrounds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photograph whose red tells the row and whose green the column, and a text."""
    rows, columns = np.mgrid[:90, :120]
    write_png(tmp_path / "slopes.png", np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_only_pictures_are_backgrounds_at_any_depth(folder: Path) -> None:
    (folder / "more").mkdir()
    write_png(folder / "more" / "grey.png", np.full((40, 40), 9, dtype=np.uint8))
    assert [path.name for path in list_backgrounds(folder)] == ["grey.png", "slopes.png"]
    assert list_backgrounds(folder / "slopes.png") == (folder / "slopes.png",)


def test_a_folder_without_pictures_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"none in .*\.png|\.png.*none in"):
        list_backgrounds(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_an_empty_or_damaged_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "broken.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        list_backgrounds(folder)


def test_a_truncated_file_is_named_when_it_is_read(folder: Path) -> None:
    whole = (folder / "slopes.png").read_bytes()
    (folder / "slopes.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"slopes\.png"):
        crop_background(list_backgrounds(folder), 32, np.random.default_rng(0))


def test_a_tiny_picture_is_named(folder: Path) -> None:
    write_png(folder / "dot.png", np.zeros((1, 1, 3), dtype=np.uint8))
    with pytest.raises(ImageError, match=r"1 x 1 in .*dot\.png"):
        list_backgrounds(folder)


def test_a_crop_is_an_undistorted_part_of_the_picture(folder: Path) -> None:
    files, mirrored = list_backgrounds(folder), 0
    for seed in range(20):
        crop, name = crop_background(files, 30, np.random.default_rng(seed))
        assert (crop.shape, name) == ((30, 30, 3), "slopes.png")
        down, right = (
            np.diff(crop[:, 15, 0].astype(float)).mean(),
            np.diff(crop[15, :, 1].astype(float)).mean(),
        )
        assert 0.4 * 90 / 30 - 0.2 < down < 90 / 30 + 0.2
        assert abs(right) == pytest.approx(down, abs=0.1)
        mirrored += right < 0
    assert 3 < mirrored < 17


def test_drawn_backgrounds_are_pictures_that_differ() -> None:
    for draw in (draw_noise, draw_scene):
        pictures = [draw(48, np.random.default_rng(seed)) for seed in range(6)]
        assert {picture.shape for picture in pictures} == {(48, 48, 3)}
        assert len({picture.tobytes() for picture in pictures}) == 6
        assert min(picture.std() for picture in pictures) > 3
        assert_array_equal(pictures[0], draw(48, np.random.default_rng(0)))
