"""A template: the canonical surface of a category with all that is computed from it once, and its files.

On disk a template is a folder: `template.json` (scalars, names, the report), `arrays.npz` (no pickles) and,
if wanted, `geodesics.npy` (float16 all-pairs distances as shares of `all_pairs_scale`).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Float32, Int

from ..errors import ArtifactError, MeshError, SettingsError
from .geodesics import GeodesicMethod, GeodesicSolver
from .mesh import Unit

FORMAT_VERSION = 1
ALL_PAIRS_FILE = "geodesics.npy"
_KEPT_BYTES = 500_000_000

_ARRAYS = ("V", "F", "mass", "evals", "evecs", "mirror", "mirror_plane", "coarse", "to_coarse", "coarse_D")


@dataclass(frozen=True, eq=False)
class Template:
    """The canonical surface of a category. Lengths are metres, or the file's numbers if `unit` is `none`.

    Attributes:
        template_id: such as `body-v1`.
        V: vertices, y up, front +z, the subject's left +x.
        F: faces, counter-clockwise from outside.
        mass: vertex areas.
        evals: Laplace-Beltrami eigenvalues, ascending.
        evecs: eigenvectors, orthonormal under `mass`.
        mirror: bilateral partner of each vertex.
        mirror_plane: unit normal and offset of the mirror plane, `normal @ x = offset`.
        mirror_residual: mean distance of the mirrored vertices to the surface, as a share of the diameter.
        unit: the mesh file's unit (V is already in metres unless `none`).
        diameter: largest finite geodesic distance, the mean of both directions: the maximum of the all-pairs
            file if there is one, else over the coarse level and swept on from its ends.
        coarse: vertex ids of the coarse level.
        to_coarse: index into `coarse` of the geodesically nearest coarse vertex.
        coarse_D: geodesic distances between coarse vertices, the mean of both directions.
        geodesics: how distances are computed.
        report: what was found and changed, for people.
        all_pairs: the all-pairs file, if it was written.
        all_pairs_scale: length of 1.0 in that file.
    """

    template_id: str
    V: Float[np.ndarray, "V 3"]
    F: Int[np.ndarray, "F 3"]
    mass: Float[np.ndarray, " V"]
    evals: Float[np.ndarray, " k"]
    evecs: Float32[np.ndarray, "V k"]
    mirror: Int[np.ndarray, " V"]
    mirror_plane: Float[np.ndarray, " 4"]
    mirror_residual: float
    unit: Unit
    diameter: float
    coarse: Int[np.ndarray, " C"]
    to_coarse: Int[np.ndarray, " V"]
    coarse_D: Float32[np.ndarray, "C C"]
    geodesics: GeodesicMethod = "heat"
    report: str = ""
    all_pairs: Path | None = None
    all_pairs_scale: float = 1.0


def write_template(folder: Path, template: Template) -> None:
    """Write `template.json` and `arrays.npz`; the all-pairs file must lie in the folder (build_template).

    Equal templates give equal bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if template.all_pairs is not None and template.all_pairs.resolve() != (folder / ALL_PAIRS_FILE).resolve():
        raise SettingsError(
            expected=f"the all-pairs file in {folder}",
            received=str(template.all_pairs),
            remedy="Give build_template the folder that the template is written to.",
        )
    arrays = {name: getattr(template, name) for name in _ARRAYS}
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    facts = {
        "format": FORMAT_VERSION,
        "template_id": template.template_id,
        "n_vertices": len(template.V),
        "n_faces": len(template.F),
        "unit": template.unit,
        "diameter": template.diameter,
        "mirror_residual": template.mirror_residual,
        "geodesics": template.geodesics,
        "all_pairs_scale": template.all_pairs_scale if template.all_pairs is not None else None,
        "report": template.report,
    }
    (folder / "template.json").write_text(
        json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )


def read_template(folder: Path | str) -> Template:
    """Read what `write_template` wrote.

    Raises:
        ArtifactError: a file is absent or damaged, or of another format version.
    """
    folder = Path(folder)
    try:
        facts: dict[str, Any] = json.loads((folder / "template.json").read_text(encoding="utf-8"))
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(
            expected="a template folder (template.json, arrays.npz)",
            received=f"{folder}: {type(error).__name__}: {error}",
            remedy="Build the template again.",
        ) from error
    if facts.get("format") != FORMAT_VERSION:
        raise ArtifactError(
            expected=f"a template of format {FORMAT_VERSION}",
            received=f"format {facts.get('format')} in {folder}",
            remedy="Build the template again with this version.",
        )
    scale = facts["all_pairs_scale"]
    all_pairs = folder / ALL_PAIRS_FILE if scale is not None else None
    if all_pairs is not None and not all_pairs.is_file():
        raise ArtifactError(
            expected="the all-pairs file", received=f"no {all_pairs}", remedy="Build the template again."
        )
    return Template(
        template_id=facts["template_id"],
        unit=facts["unit"],
        diameter=facts["diameter"],
        mirror_residual=facts["mirror_residual"],
        geodesics=facts["geodesics"],
        report=facts["report"],
        all_pairs=all_pairs,
        all_pairs_scale=scale if scale is not None else 1.0,
        **arrays,
    )


_SOLVERS: WeakKeyDictionary[Template, GeodesicSolver] = WeakKeyDictionary()
_MAPS: WeakKeyDictionary[Template, np.ndarray] = WeakKeyDictionary()


def geodesic_rows(
    template: Template, vertices: Iterable[int] | Int[np.ndarray, " n"]
) -> Float32[np.ndarray, "n V"]:
    """Distance from each given vertex to every vertex, in the unit of V; a repeated vertex is solved once.

    From the all-pairs file if the template has one (symmetric, rounded to 0.05%), else solved now and as the
    solver gives them (see `geodesics`): the direction is from the given vertex. The solver is kept as long as
    the template. The result takes 4 n V bytes: ask in portions.

    Raises:
        MeshError: a vertex that the template does not have.
    """
    ids = np.asarray(list(vertices), dtype=np.int64)
    n = len(template.V)
    wrong = ids[(ids < 0) | (ids >= n)]
    if wrong.size:
        raise MeshError(
            expected=f"vertices of {template.template_id} in [0, {n})",
            received=str(wrong[0]),
            remedy="Check that the labels belong to this template; -1 (unknown vertex) has no row.",
        )
    if template.all_pairs is not None:
        if template not in _MAPS:
            _MAPS[template] = np.load(template.all_pairs, mmap_mode="r", allow_pickle=False)
        return _MAPS[template][ids].astype(np.float32) * np.float32(template.all_pairs_scale)
    if template not in _SOLVERS:
        _SOLVERS[template] = GeodesicSolver(template.V, template.F, template.geodesics)
    return _SOLVERS[template].rows(ids)


def kept_geodesic_rows(template: Template) -> Callable[[np.ndarray], Float32[np.ndarray, "n V"]]:
    """`geodesic_rows` for work that asks for the same vertices again: up to half a gigabyte of rows is kept."""

    @lru_cache(maxsize=max(1, _KEPT_BYTES // (4 * len(template.V))))
    def row(vertex: int) -> np.ndarray:
        return geodesic_rows(template, [vertex])[0]

    return lambda vertices: np.array([row(int(v)) for v in vertices], np.float32).reshape(-1, len(template.V))
