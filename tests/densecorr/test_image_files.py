"""Reading image files of every kind, whole and damaged."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps

from densecorr.errors import ImageError
from densecorr.image_headers import ImageHeader, read_header
from densecorr.images import read_image, write_png


def solid(mode: str, color: int | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (6, 4), color)


def palette_with_transparency() -> Image.Image:
    image = solid("RGB", (10, 200, 30)).quantize(4)
    image.info["transparency"] = b"\x00\x80\xff\xff"
    return image


@pytest.mark.parametrize(
    ("image", "ending", "expected"),
    [
        (solid("L", 77), "png", (77, 77, 77)),
        (solid("1", 1), "png", (255, 255, 255)),
        (solid("LA", (77, 128)), "png", (77, 77, 77)),
        (solid("RGBA", (10, 20, 30, 0)), "png", (10, 20, 30)),
        (solid("RGB", (200, 100, 50)).quantize(4), "png", (200, 100, 50)),
        (palette_with_transparency(), "png", (10, 200, 30)),
        (solid("RGB", (200, 100, 50)).quantize(4), "gif", (200, 100, 50)),
        (solid("CMYK", (255, 0, 0, 0)), "jpg", (0, 255, 255)),
        (solid("CMYK", (0, 0, 0, 255)), "tif", (0, 0, 0)),
        (solid("RGB", (3, 4, 5)), "bmp", (3, 4, 5)),
    ],
)
def test_every_kind_of_file_is_rgb(
    image: Image.Image, ending: str, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    image.save(tmp_path / f"a.{ending}")
    read = read_image(tmp_path / f"a.{ending}")
    assert read.shape == (4, 6, 3)
    assert read.dtype == np.uint8
    assert_allclose(read, np.broadcast_to(expected, read.shape), atol=2)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_scaled_not_clipped(ending: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(3, axis=0)
    Image.fromarray(ramp).save(tmp_path / f"a.{ending}")
    grey = read_image(tmp_path / f"a.{ending}")
    assert_allclose(grey[0, :, 0], np.arange(256), atol=1)
    assert_array_equal(grey[..., 0], grey[..., 2])


def test_a_png_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for shape in [(5, 7, 3), (5, 7), (1, 1, 3)]:
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        write_png(tmp_path / "a.png", image)
        read = read_image(tmp_path / "a.png")
        assert_array_equal(read, image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))


@pytest.mark.parametrize("ending", ["png", "jpeg", "bmp", "gif", "tiff", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5, 0.8])
def test_a_truncated_file_is_an_image_error(ending: str, share: float, tmp_path: Path) -> None:
    stored = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stored, format=ending)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(stored.getvalue()[: int(share * len(stored.getvalue()))])
    with pytest.raises(ImageError, match=f"a.{ending}"):
        read_image(path)


def put_nothing(path: Path) -> None:
    pass


def put_text(path: Path) -> None:
    path.write_text("not an image\n" * 20)


def put_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [put_nothing, put_text, put_folder])
def test_what_is_no_image_names_the_path(put: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_an_absurdly_large_image_is_an_image_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "a.png", np.zeros((40, 40, 3), dtype=np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match=r"at most 200 pixels.*a\.png.*Shrink"):
        read_image(tmp_path / "a.png")


def test_a_wide_image_of_20_000_pixels_is_read(tmp_path: Path) -> None:
    Image.new("L", (20_000, 3), 9).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (3, 20_000, 3)


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_an_animation_is_its_first_frame(ending: str, tmp_path: Path) -> None:
    frames = [solid("RGB", color) for color in ((250, 10, 10), (10, 250, 10), (10, 10, 250))]
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
    read = read_image(tmp_path / f"a.{ending}")
    assert read.shape == (4, 6, 3)
    assert_allclose(read, np.broadcast_to((250, 10, 10), read.shape), atol=12)


ASYMMETRIC = np.random.default_rng(5).integers(0, 256, (5, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tiff", "webp", "jpeg"])
def test_exif_orientation_is_applied(ending: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    options = {"webp": {"lossless": True}, "jpeg": {"quality": 95, "subsampling": 0}}.get(ending, {})
    Image.fromarray(ASYMMETRIC).save(path, exif=exif, **options)
    read = read_image(path)
    with Image.open(path) as stored:
        assert_array_equal(read, np.asarray(ImageOps.exif_transpose(stored).convert("RGB")))
    turned = {  # by hand: what the tag says is the visual place of row 0 and column 0
        1: ASYMMETRIC,
        2: ASYMMETRIC[:, ::-1],
        3: ASYMMETRIC[::-1, ::-1],
        4: ASYMMETRIC[::-1],
        5: ASYMMETRIC.swapaxes(0, 1),
        6: ASYMMETRIC[::-1].swapaxes(0, 1),
        7: ASYMMETRIC[::-1, ::-1].swapaxes(0, 1),
        8: ASYMMETRIC[:, ::-1].swapaxes(0, 1),
    }[orientation]
    assert_allclose(read.astype(int), turned, atol=0 if ending != "jpeg" else 60)
    header = read_header(path)
    assert (header.height, header.width) == read.shape[:2]


def test_a_damaged_exif_note_does_not_spoil_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(ASYMMETRIC).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff")
    assert_array_equal(read_image(tmp_path / "a.png"), ASYMMETRIC)
    assert read_header(tmp_path / "a.png").width == 8


def test_16_bits_are_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    Image.fromarray(ramp).save(tmp_path / "a.png", exif=exif)
    assert_allclose(read_image(tmp_path / "a.png")[..., 0], ramp[::-1].T / 257, atol=1)


def test_a_header_says_whose_image_it_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x013B] = "2024 A. Person", "A. Person"
    xmp = (
        b'<x:xmpmeta><rdf:RDF><cc:license rdf:resource="https://example.org/by/4.0/"/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(ASYMMETRIC).save(tmp_path / "a.jpg", exif=exif, xmp=xmp)
    assert read_header(tmp_path / "a.jpg") == ImageHeader(
        8, 5, "2024 A. Person", "A. Person", "https://example.org/by/4.0/"
    )
    write_png(tmp_path / "b.png", ASYMMETRIC)
    assert read_header(tmp_path / "b.png") == ImageHeader(8, 5)
