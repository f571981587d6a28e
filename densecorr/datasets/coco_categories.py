"""The categories of a COCO file, and which images the wanted ones need."""

import difflib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import AnnotationError, SettingsError
from .checks import Rejects
from .coco_json import CocoFile, decode_value, raw_text, row_fields
from .coco_types import CocoCategory, CocoSettings, Id, id_text

_decoder = msgspec.json.Decoder(CocoCategory)


class _Link(msgspec.Struct):
    image_id: Id
    category_id: Id


_link_decoder = msgspec.json.Decoder(_Link)


@dataclass(frozen=True)
class Categories:
    """The categories of a file: names by id as text, the rows as they are."""

    names: dict[str, str]
    rows: list[dict[str, Any]]
    tokens: dict[str, bytes]  # id as written, of categories whose name is theirs alone


def read_categories(file: CocoFile, wanted: tuple[str, ...], rejects: Rejects) -> Categories:
    """The file's categories, each id once.

    Raises:
        AnnotationError: a bad or repeated row, with `on_error="raise"`.
        SettingsError: a wanted name that the file does not have.
    """
    names: dict[str, str] = {}
    rows, tokens = [], {}
    for raw in file.categories:
        id_ = None
        try:
            fields = row_fields(raw)
            try:
                category = _decoder.decode(raw)
            except msgspec.DecodeError as error:
                raise AnnotationError("a category of COCO's form", str(error), "Correct the row.") from error
            id_ = id_text(category.id)
            row = decode_value(raw)
            if id_ in names:
                raise AnnotationError("every category id once", f"{id_} again", "Number the categories anew.")
        except AnnotationError as error:
            rejects.add("category", id_, None, error, raw_text(raw))
            continue
        names[id_] = category.name
        rows.append(row)
        tokens[id_] = bytes(fields["id"])
    for name in wanted:
        if name not in names.values():
            near = difflib.get_close_matches(name, names.values(), n=3)
            hint = (
                f"Did you mean {' or '.join(near)}?" if near else f"It has {', '.join(names.values())[:300]}."
            )
            raise SettingsError(f"a category of {file.path}", f"'{name}'", hint)
    uses = Counter(names.values())
    shared = {id_ for id_, name in names.items() if uses[name] > 1}
    return Categories(names, rows, {id_: token for id_, token in tokens.items() if id_ not in shared})


def wanted_images(file: CocoFile, categories: Categories, settings: CocoSettings) -> set[str] | None:
    """Ids of the images with an annotation of the wanted categories; None when all images are wanted."""
    if not settings.drops_empty_images:
        return None
    wanted = set()
    for raw in file.annotations:
        try:
            link = _link_decoder.decode(raw)
            name = categories.names.get(id_text(link.category_id))
            if not settings.categories or name in settings.categories:
                wanted.add(id_text(link.image_id))
        except (msgspec.DecodeError, AnnotationError):
            continue  # refused, with its reason, when the row is read
    return wanted
