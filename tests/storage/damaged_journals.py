"""Ways in which the file of a journal breaks; after each, neither reading nor writing may go on as if nothing were."""

import os
from pathlib import Path

import pytest

PAGE = 4096


def overwrite_a_page(path: Path) -> None:
    """A page in the middle, of garbage."""
    content = bytearray(path.read_bytes())
    middle = len(content) // PAGE // 2 * PAGE
    assert middle >= 2 * PAGE
    content[middle : middle + PAGE] = os.urandom(PAGE)
    path.write_bytes(content)


def overwrite_the_header(path: Path) -> None:
    """The first page, of zeros, as after a power cut."""
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])


def truncate(path: Path) -> None:
    """The second half is gone, in the middle of a page."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 100])


def empty(path: Path) -> None:
    """Nothing is left."""
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    """Not a database at all."""
    path.write_text("these are not the acts that you are looking for\n" * 500)


DAMAGES = [
    pytest.param(damage, id=damage.__name__)
    for damage in (overwrite_a_page, overwrite_the_header, truncate, empty, replace_by_text)
]
