"""`densecorr init`: a whole pipeline file for a COCO file and one mesh a category."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from densecorr.errors import DatasetNotFoundError, SettingsError

from .init_pipeline import HEAD, STAGES, Preset
from .session import Session


@dataclass(frozen=True)
class Init:
    """Write a pipeline file for a COCO file and a mesh: densecorr init --coco F --mesh M > pipeline.toml."""

    coco: Path
    """The annotations: COCO, LVIS or DensePose."""
    mesh: tuple[str, ...]
    """A mesh file, body or quadruped; for several categories each as CATEGORY=MESH."""
    category: tuple[str, ...] = ()
    """The categories to work on; all of the file if it has one."""
    images: Path | None = None
    """The folder that the file names start in; looked for around the COCO file if left out."""
    unit: Literal["m", "cm", "mm", "none"] = "m"
    """Of the meshes."""
    up: str = "y"
    """The meshes' axis that points up: x, y, z, -x, -y or -z."""
    front: str = "z"
    """The meshes' axis that the subject faces along."""
    preset: Preset = "shic-cpu"
    """shic-cpu: no download, for a CPU; shic-paper: SHIC's recipe on DINOv2 features, for a GPU."""

    def __call__(self, session: Session) -> None:
        """Print the file."""
        print(pipeline_text(self), end="")


def pipeline_text(command: Init) -> str:
    """The pipeline file.

    Raises:
        SettingsError: a category that the file does not have, or a category without a mesh.
        DatasetNotFoundError: no such file, or the images are not found.
    """
    counts, first = read_counts(command.coco)
    categories = _choose(command.category, counts, command.coco)
    meshes = _meshes(command.mesh, categories)
    axes = {"unit": (command.unit, "m"), "up": (command.up, "y"), "front": (command.front, "z")}
    others = "".join(f", {key} = {_toml(value)}" for key, (value, usual) in axes.items() if value != usual)
    lines = [
        f"{name if re.fullmatch('[A-Za-z0-9_-]+', name) else _toml(name)} = "
        + (f"{{ mesh = {_toml(_here(meshes[name]))}{others} }}" if others else _toml(_here(meshes[name])))
        + f"  # {counts[name]} instances"
        for name in categories
    ]
    return (HEAD + STAGES[command.preset]).format(
        names=", ".join(categories),
        templates="\n".join(lines),
        annotations=_toml(_here(command.coco)),
        images=_toml(_here(command.images or find_images(command.coco, first))),
        source=_toml(command.coco.stem),
        source_name=command.coco.stem,
        categories=_toml(categories),
    )


def read_counts(path: Path) -> tuple[Counter[str], list[str]]:
    """Instances by category, most first, and the names the first image's file may go by."""
    import msgspec

    from densecorr.datasets.coco_json import read_coco_file
    from densecorr.datasets.coco_types import CocoCategory, CocoImage, Id

    class Row(msgspec.Struct):
        category_id: Id

    file = read_coco_file(path)
    names = {c.id: c.name for c in (msgspec.json.decode(raw, type=CocoCategory) for raw in file.categories)}
    decoder = msgspec.json.Decoder(Row)
    found = Counter(decoder.decode(raw).category_id for raw in file.annotations)
    counts = Counter({name: found.get(number, 0) for number, name in names.items()})
    images = [msgspec.json.decode(raw, type=CocoImage) for raw in file.images[:1]]
    texts = [text for image in images for text in (image.file_name, image.coco_url) if text]
    return Counter(dict(counts.most_common())), [part for text in texts for part in _endings(text)]


def find_images(coco: Path, names: list[str]) -> Path:
    """The folder around a COCO file in which its first image's file is.

    Raises:
        DatasetNotFoundError: none of the usual places.
    """
    near, above = coco.parent, coco.absolute().parent.parent
    places = [
        near,
        *_folders(near),
        above,
        *_folders(above),
        *(f for g in _folders(above) for f in _folders(g)),
    ]
    for place in places:
        if any((place / name).is_file() for name in names):
            return place
    raise DatasetNotFoundError(
        f"the image {names[-1] if names else ''} near {coco}",
        "no such file",
        "Name the folder: --images FOLDER.",
    )


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _endings(text: str) -> list[str]:
    """A file name as it is, then without its leading folders (or the address) one by one."""
    parts = text.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts)) if parts[start]]


def _choose(wanted: tuple[str, ...], counts: Counter[str], coco: Path) -> list[str]:
    if not counts:
        raise SettingsError("a COCO file with categories", f"none in {coco}", "Add the category to look for.")
    known = ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:20])
    for name in wanted:
        if name not in counts:
            raise SettingsError(f"a category of {coco}", f"'{name}'", f"It has {known}.")
    if not wanted and len(counts) != 1:
        raise SettingsError(
            "--category, as the file has several", f"none; {coco} has {known}", "Choose some."
        )
    return list(wanted or counts)


def _meshes(given: tuple[str, ...], categories: list[str]) -> dict[str, str]:
    named = dict(text.split("=", 1) for text in given if "=" in text)
    plain = [text for text in given if "=" not in text]
    if plain and (len(categories) > 1 or named or len(plain) > 1):
        raise SettingsError(
            "each mesh as CATEGORY=MESH", plain[0], f"Write --mesh {categories[0]}={plain[0]} ..."
        )
    meshes = named or {categories[0]: plain[0]} if given else {}
    if set(meshes) != set(categories):
        raise SettingsError(
            f"a mesh for each of {', '.join(categories)}", ", ".join(meshes) or "none", "Add --mesh."
        )
    return meshes


def _here(path: Path | str) -> str:
    """A path as the file should name it: relative if it was given so (the file will lie here), else absolute."""
    return Path(path).as_posix()


def _toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)
