"""What an image file says of itself before its pixels are read: its size as shown, author and licence."""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from .errors import ImageError
from .image_uris import cached_image, is_remote, local_image, read_chunks

ORIENTATION, ARTIST, COPYRIGHT = 0x0112, 0x013B, 0x8298  # tags of EXIF and TIFF
SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
_PNG_NOTES = (
    "exif",
    "Raw profile type exif",
    "XML:com.adobe.xmp",
)  # without these, getexif reads the whole file
_XMP_LICENCE = re.compile(
    r"""(?:cc:license[^>]*?rdf:resource|xmpRights:WebStatement)\s*=\s*["']([^"']+)["']"""
    r"""|<xmpRights:WebStatement[^>]*>\s*([^<\s]+)\s*<"""
)


@dataclass(frozen=True)
class ImageHeader:
    """Width and height in pixels as `read_image` gives them (EXIF orientation applied), and who may use the image.

    `licence` is the address of a licence in the file's XMP (cc:license, xmpRights:WebStatement).
    """

    width: int
    height: int
    copyright: str | None = None
    artist: str | None = None
    licence: str | None = None


def read_header(place: Path | str) -> ImageHeader:
    """The header of an image file, or of one at an address, of which only the beginning is fetched.

    Raises:
        ImageError: no such file, no image, or one of more pixels than Pillow trusts.
        DatasetNotFoundError, DependencyError: as `image_uris.local_image`.
    """
    cached = cached_image(str(place)) if is_remote(place) else local_image(place)
    if cached is not None:
        with image_errors(place), cached.open("rb") as file:
            return _header(file)
    with image_errors(place):
        return _remote_header(str(place))


@contextmanager
def image_errors(place: Path | str) -> Iterator[None]:
    """Turn what Pillow raises for files that it cannot read into an ImageError that names the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("error", message="Truncated File Read")
            yield
    except FileNotFoundError as error:
        raise ImageError("an image file", f"no file at {place}", "Check the image folder.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"an image of at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels",
            f"{place} ({error})",
            "Shrink it, or cut it into pieces.",
        ) from error
    except (OSError, SyntaxError, ValueError, UserWarning, struct.error) as error:
        raise ImageError("a readable image", f"{place} ({error})", "Replace the damaged file.") from error


def orientation_of(image: Any) -> int:
    """The EXIF orientation of a Pillow image, 1 (upright) to 8; 1 where there is none or it cannot be read."""
    value = _notes(image).get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _notes(image: Any) -> Any:
    """The EXIF tags; a damaged note on an image does not spoil its pixels."""
    try:
        return image.getexif()
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error, UserWarning):
        return {}


def _remote_header(uri: str) -> ImageHeader:
    """Read on until Pillow knows the format: for most formats the first piece is enough."""
    data, tried = b"", 0
    for chunk in read_chunks(uri):
        data += chunk
        if len(data) < 2 * tried:
            continue
        tried = len(data)
        try:
            return _header(BytesIO(data))
        except (OSError, SyntaxError, ValueError, struct.error, UserWarning):
            continue  # cut off inside the header
    return _header(BytesIO(data))


def _header(file: Any) -> ImageHeader:
    from PIL import Image

    with Image.open(file) as image:
        width, height = image.size
        noted = image.format != "PNG" or any(key in image.info for key in _PNG_NOTES)
        if image.format != "TIFF" and noted and orientation_of(image) in SIDEWAYS:
            width, height = height, width  # Pillow itself turns TIFF
        notes, xmp = _notes(image) if noted else {}, image.info.get("xmp")
        return ImageHeader(width, height, _text(notes, COPYRIGHT), _text(notes, ARTIST), _licence(xmp))


def _text(notes: Any, tag: int) -> str | None:
    value = notes.get(tag)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
    return text.replace("\0", " ").strip() or None


def _licence(xmp: bytes | str | None) -> str | None:
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else (xmp or "")
    found = _XMP_LICENCE.search(text)
    return (found[1] or found[2]) if found else None
