"""`densecorr template`: what every later stage needs from one category's mesh."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from densecorr.templates import TemplateSettings

from .progress import Progress
from .stage import MeshSource, NotInRecipe, Stage, StageInputs

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TemplateCommand:
    """Check a mesh and compute its eigenbasis, symmetry, coarse level and geodesics."""

    category: str
    """What the mesh shows, as the data set names it."""
    mesh: MeshSource
    """A mesh file, an SMPL .npz or .pkl, or a shape that comes with densecorr: body, quadruped."""
    version: int = 1
    """The template is called CATEGORY-vVERSION; a DensePose reference mesh (cow_5002) keeps its name."""
    group: str | None = None
    """Keep one group or object of an .obj file."""
    allow_pickle: Annotated[bool, NotInRecipe] = False
    """Open an SMPL .pkl file. A pickle runs code when it is read: only for files you trust."""
    settings: TemplateSettings = field(default_factory=TemplateSettings)
    workers: Annotated[int, NotInRecipe] = 1
    """Processes for all-pairs geodesics."""


def read_shape(command: TemplateCommand, inputs: StageInputs) -> "tuple[np.ndarray, np.ndarray]":
    """V, F of the command's mesh, in its own unit and axes."""
    from densecorr.templates import catalog_names, load_catalog_mesh, read_mesh, read_smpl

    if command.mesh in catalog_names():
        return load_catalog_mesh(command.mesh)
    path = inputs.path("mesh")
    if path.suffix in (".npz", ".pkl"):
        return read_smpl(path, allow_pickle=command.allow_pickle)
    return read_mesh(path, command.group)


def template_id(command: TemplateCommand) -> str:
    """For example cow-v1; what cannot stand in an id becomes a hyphen. A reference mesh keeps the name labels use."""
    from densecorr.datasets.reference_meshes import VERTEX_COUNTS

    if command.category in VERTEX_COUNTS:
        return command.category
    return f"{re.sub('[^A-Za-z0-9._-]+', '-', command.category).strip('-') or 'template'}-v{command.version}"


def write(out: Path, inputs: StageInputs, command: TemplateCommand, progress: Progress) -> None:
    """Fill the folder `out`."""
    from densecorr.datasets.reference_meshes import check_reference_mesh
    from densecorr.templates import build_template, write_template

    progress(0, 1, "geometry")
    V, F = read_shape(command, inputs)
    for name in (command.category, Path(command.mesh).stem):
        check_reference_mesh(name, len(V))
    write_template(out, build_template(V, F, template_id(command), command.settings, out, command.workers))


def estimate_bytes(command: TemplateCommand, inputs: StageInputs) -> int:
    """Disk the template will need: eigenvectors and coarse distances in float32, all pairs in float16."""
    V, F = read_shape(command, inputs)
    n_bytes = (
        4 * len(V) * command.settings.n_eigenpairs + 4 * command.settings.n_coarse**2 + 24 * (len(V) + len(F))
    )
    return n_bytes + (2 * len(V) ** 2 if command.settings.all_pairs else 0)


STAGE = Stage("template", TemplateCommand, version=2, write=write, estimate_bytes=estimate_bytes)
