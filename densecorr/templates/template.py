"""Build a template from a mesh: check, orient, Laplacian, symmetry, coarse level, geodesics.

What a template is, and its files: `stored.py`, whose names are available here too.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..errors import MeshError, SettingsError
from .checks import check_mesh
from .coarse import build_coarse_level
from .geodesics import MAX_ALL_PAIRS, GeodesicMethod, GeodesicSolver, write_geodesic_matrix
from .laplacian import laplacian_basis
from .mesh import Axis, Unit, orient_mesh
from .repair import repair_mesh
from .stored import (
    ALL_PAIRS_FILE,
    Template,
    geodesic_rows,
    kept_geodesic_rows,
    read_template,
    write_template,
)
from .symmetry import SymmetryAxis, find_symmetry

__all__ = [
    "Template",
    "TemplateSettings",
    "build_template",
    "geodesic_rows",
    "kept_geodesic_rows",
    "read_template",
    "write_template",
]

_ASYMMETRIC = 0.005
"""Residual, as a share of the diameter, above which left-right losses should be off (SHIC, sec. 6).

Measured: scanned people 0.13%, a modelled cow 0.05%, a sitting cat that looks aside 0.84%.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TemplateSettings:
    """How a template is built from a mesh.

    Attributes:
        n_eigenpairs: Laplace-Beltrami eigenpairs kept (CSE uses 256); at most V.
        n_coarse: vertices of the coarse level (building takes 4 n_coarse V bytes).
        geodesics: `heat` (1 to 4 ms a source, 0.3 to 0.9% of the diameter off on average) or `exact` (0.1 to
            0.3 s a source; the coarse level solves `n_coarse` sources, so minutes).
        all_pairs: write the all-pairs file (up to MAX_ALL_PAIRS vertices); else rows are solved when asked
            for.
        repair: mend the mesh first; vertex ids can change, and the report says so.
        unit: the mesh file's unit; with `none` no metres and no GPS are reported.
        up: the mesh file's axis that points up.
        front: the mesh file's axis that the subject faces along.
        symmetry: normal of the mirror plane in project axes (x is left), or `auto`.
    """

    n_eigenpairs: int = 256
    n_coarse: int = 2500
    geodesics: GeodesicMethod = "heat"
    all_pairs: bool = False
    repair: bool = False
    unit: Unit = "m"
    up: Axis = "y"
    front: Axis = "z"
    symmetry: SymmetryAxis = "auto"


def build_template(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    template_id: str,
    settings: TemplateSettings = TemplateSettings(),
    folder: Path | None = None,
    n_processes: int = 1,
) -> Template:
    """Check, orient and analyse a mesh.

    Args:
        V: vertices in the mesh file's unit and axes.
        F: faces.
        template_id: letters, digits, `-`, `_` and `.`, such as `cow-v1`.
        settings: how.
        folder: where the all-pairs file goes; needed if `settings.all_pairs`.
        n_processes: solver processes for the all-pairs file; the result does not depend on it.

    Raises:
        MeshError: the mesh has a problem that makes it unusable; the message lists them all.
        SettingsError: a bad template id or number, or all pairs without a folder.
    """
    _check_settings(template_id, settings, folder)
    notes: list[str] = []
    if settings.repair:
        V, F, changes = repair_mesh(V, F)
        notes += [f"repair: {change}" for change in changes]
    mesh_report = check_mesh(V, F, settings.unit)
    if not mesh_report.is_usable:
        found = "; ".join(problem.found for problem in mesh_report.problems if problem.severity == "error")
        raise MeshError(
            expected="a mesh fit for a template",
            received=found,
            remedy="Mend it in a modelling program"
            + ("." if settings.repair else ", or set repair = true (vertex ids may change)."),
        )
    V = orient_mesh(V, settings.up, settings.front, settings.unit)
    log.info(
        "template %s: %d vertices; Laplacian and %d eigenpairs", template_id, len(V), settings.n_eigenpairs
    )
    mass, evals, evecs = laplacian_basis(V, F, settings.n_eigenpairs)
    log.info("template %s: symmetry", template_id)
    symmetry = find_symmetry(V, F, mass, settings.symmetry)
    log.info(
        "template %s: %s geodesics, coarse level of %d", template_id, settings.geodesics, settings.n_coarse
    )
    solver = GeodesicSolver(V, F, settings.geodesics)
    level = build_coarse_level(solver.distances, settings.n_coarse, symmetry.mirror)
    diameter, all_pairs, scale = level.diameter, None, 1.0
    if settings.all_pairs and len(V) > MAX_ALL_PAIRS:
        notes.append(
            f"all pairs: left out, {len(V)} vertices are more than {MAX_ALL_PAIRS}; rows are solved on demand"
        )
    elif settings.all_pairs and folder is not None:
        log.info("template %s: all pairs", template_id)
        folder.mkdir(parents=True, exist_ok=True)
        all_pairs, scale = folder / ALL_PAIRS_FILE, level.diameter
        diameter = write_geodesic_matrix(all_pairs, V, F, settings.geodesics, scale, n_processes)
    residual = symmetry.residual / diameter
    notes += _describe_symmetry(symmetry.normal, residual, symmetry.is_involution)
    length = "" if settings.unit == "none" else " m"
    notes.append(
        f"geodesics: {settings.geodesics}, diameter {diameter:.4g}{length}, coarse level {len(level.coarse)}"
    )
    return Template(
        template_id=template_id,
        V=V,
        F=np.ascontiguousarray(F, dtype=np.int64),
        mass=mass,
        evals=evals,
        evecs=np.ascontiguousarray(evecs, dtype=np.float32),
        mirror=symmetry.mirror,
        mirror_plane=np.append(symmetry.normal, symmetry.offset),
        mirror_residual=residual,
        unit=settings.unit,
        diameter=diameter,
        coarse=level.coarse,
        to_coarse=level.to_coarse,
        coarse_D=level.coarse_D,
        geodesics=settings.geodesics,
        report="\n".join([str(mesh_report), *notes]),
        all_pairs=all_pairs,
        all_pairs_scale=scale,
    )


def _check_settings(template_id: str, settings: TemplateSettings, folder: Path | None) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", template_id):
        raise SettingsError(
            expected="a template id of letters, digits, '-', '_' and '.'",
            received=repr(template_id),
            remedy="Name it like cow-v1.",
        )
    for name in ("n_eigenpairs", "n_coarse"):
        if getattr(settings, name) < 1:
            raise SettingsError(
                expected=f"{name} of at least 1",
                received=str(getattr(settings, name)),
                remedy="Correct the settings.",
            )
    if settings.all_pairs and folder is None:
        raise SettingsError(
            expected="a folder for the all-pairs file",
            received="all_pairs = true and no folder",
            remedy="Give build_template the folder that the template is written to.",
        )


def _describe_symmetry(normal: Float[np.ndarray, " 3"], residual: float, is_involution: bool) -> list[str]:
    partners = (
        "every vertex and its partner name each other" if is_involution else "partners are nearest vertices"
    )
    plane = ", ".join(f"{component:.3f}" for component in normal)
    notes = [f"symmetry: plane normal ({plane}), residual {100 * residual:.3g}% of the diameter, {partners}"]
    if abs(normal[0]) < 0.9:
        notes.append(
            "warning: the mirror plane is not left-right. Check `up` and `front`, or set `symmetry`."
        )
    if residual > _ASYMMETRIC:
        notes.append(
            "warning: the mesh is not symmetric. Leave left-right losses and swapped-side checks off."
        )
    return notes
