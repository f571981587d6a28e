"""Chart tables: where each vertex of a mesh lies on DensePose's charts (part 1 to 24, u, v), and back.

No chart table comes with densecorr. A table is a file of rows `vertex, part, u, v` (.csv, .parquet, or .npz with arrays
of those names; vertices from 0, u and v in 0..1), a row for each chart that a vertex lies on; or a user's own .mat file
of DensePose's release:

- `UV_Processed.mat`: vertices of the SMPL mesh it was cut from (6890 of them);
- `SMPL_subdiv.mat`, with `SMPL_SUBDIV_TRANSFORM.mat` in the same folder: vertices of `smpl_27554`.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.spatial import KDTree

from ..errors import AnnotationError, DatasetNotFoundError
from .densepose import N_PARTS, UNIT

COLUMNS = ("vertex", "part", "u", "v")
SUBDIVISION = "SMPL_SUBDIV_TRANSFORM.mat"
N_TIES = 8  # nearest rows looked at for a tie


class ChartTable:
    """Rows of vertex, part, u and v; looks up one from the other. A search tree a part is built when first needed."""

    def __init__(
        self,
        vertex: Int[np.ndarray, " N"],
        part: Int[np.ndarray, " N"],
        u: Float[np.ndarray, " N"],
        v: Float[np.ndarray, " N"],
    ) -> None:
        """Check the rows.

        Raises:
            AnnotationError: no row; a vertex below 0; a part outside 1..24; u or v outside 0..1 or not finite.
        """
        if not len(vertex):
            raise AnnotationError("a chart table with rows", "none", "Give a row for each vertex on a chart.")
        if vertex.min() < 0:
            raise AnnotationError("vertices of at least 0", str(vertex.min()), "Count vertices from 0.")
        if part.min() < 1 or part.max() > N_PARTS:
            raise AnnotationError(
                f"parts in 1..{N_PARTS}",
                f"{part.min()}..{part.max()}",
                "0 is background, which has no chart.",
            )
        uv = np.stack([u, v], axis=1).astype(np.float64)
        if not np.isfinite(uv).all() or uv.min() < UNIT[0] or uv.max() > UNIT[1]:
            raise AnnotationError("u and v in 0..1", f"{uv.min():g}..{uv.max():g}", "Scale each chart.")
        self.vertex, self.part, self.uv = vertex.astype(np.int64), part.astype(np.int64), uv

    @property
    def n_vertices(self) -> int:
        """One more than the highest vertex: what the mesh must have at least."""
        return int(self.vertex.max()) + 1

    @cached_property
    def _trees(self) -> dict[int, tuple[KDTree, Int[np.ndarray, " n"]]]:
        trees = {}
        for part in np.unique(self.part).tolist():
            rows = np.flatnonzero(self.part == part)
            rows = rows[np.argsort(self.vertex[rows], kind="stable")]
            _, first = np.unique(self.uv[rows], axis=0, return_index=True)  # one place: the lowest vertex
            rows = rows[first]
            trees[part] = (KDTree(self.uv[rows]), self.vertex[rows])
        return trees

    def iuv_to_vertex(
        self, part: Num[np.ndarray, "*n"], u: Num[np.ndarray, "*n"], v: Num[np.ndarray, "*n"]
    ) -> Int[np.ndarray, "*n"]:
        """The vertex nearest in (u, v) on the same chart, the lowest of equally near ones; -1 where part is 0.

        Raises:
            AnnotationError: a part that the table has no row for, or u, v that are not finite.
        """
        return self.locate(part, u, v)[0]

    def locate(
        self, part: Num[np.ndarray, "*n"], u: Num[np.ndarray, "*n"], v: Num[np.ndarray, "*n"]
    ) -> tuple[Int[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
        """`iuv_to_vertex`, and how far in (u, v) that vertex lies; 0 where part is 0."""
        parts, uv = np.asarray(part), np.stack([u, v], axis=-1).astype(np.float64)
        unknown = sorted({float(value) for value in np.unique(parts)} - {0.0, *map(float, self._trees)})
        if unknown:
            raise AnnotationError(
                f"parts of the chart table: {', '.join(map(str, self._trees))}",
                f"{unknown[0]:g}",
                "Complete the chart table, or correct the parts.",
            )
        if not np.isfinite(uv[parts > 0]).all():
            raise AnnotationError("finite u and v", "NaN or infinity", "Leave out points without u and v.")
        vertex, distance = np.full(parts.shape, -1, dtype=np.int64), np.zeros(parts.shape)
        for one, (tree, vertices) in self._trees.items():
            here = parts == one
            if not here.any():
                continue
            ranks: Any = list(range(1, min(N_TIES, len(vertices)) + 1))  # a list keeps the last axis for one
            away, nearest = tree.query(uv[here], k=ranks)
            candidates = np.where(away <= away[:, :1], vertices[nearest], np.iinfo(np.int64).max)
            vertex[here], distance[here] = candidates.min(axis=1), away[:, 0]
        return vertex, distance

    def vertex_to_iuv(
        self, vertex: Int[np.ndarray, "*n"]
    ) -> tuple[Int[np.ndarray, "*n"], Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
        """Part, u and v of vertices, by the first row of each; part 0 and u = v = 0 for one on no chart, such as -1."""
        known, first = np.unique(self.vertex, return_index=True)
        place = np.minimum(np.searchsorted(known, vertex), len(known) - 1)
        found = known[place] == vertex
        row = first[place]
        part = np.where(found, self.part[row], 0)
        return part, np.where(found, self.uv[row, 0], 0.0), np.where(found, self.uv[row, 1], 0.0)

    def charts_of(self, vertex: int) -> list[tuple[int, float, float]]:
        """Part, u and v of every chart that a vertex lies on."""
        rows = np.flatnonzero(self.vertex == vertex)
        return [(int(self.part[row]), float(self.uv[row, 0]), float(self.uv[row, 1])) for row in rows]


def read_charts(path: Path) -> ChartTable:
    """Read a chart table; see the module for the forms.

    Raises:
        DatasetNotFoundError: no such file, or `SMPL_subdiv.mat` without its transform beside it.
        AnnotationError: a file of another form, columns that are absent or of unequal length, values out of range.
    """
    if not path.is_file():
        raise DatasetNotFoundError("a chart table", f"no file {path}", "See docs/densepose.md for its form.")
    readers = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet, ".mat": _read_mat}
    if path.suffix.lower() not in readers:
        raise AnnotationError(
            f"a chart table as {', '.join(readers)}", path.name, "See docs/densepose.md for its form."
        )
    columns = readers[path.suffix.lower()](path)
    absent = [name for name in COLUMNS if name not in columns]
    if absent:
        raise AnnotationError(
            f"the columns {', '.join(COLUMNS)}", f"{path} without {', '.join(absent)}", "Add them."
        )
    arrays = [np.asarray(columns[name]).reshape(-1) for name in COLUMNS]
    if len({len(array) for array in arrays}) > 1:
        said = ", ".join(f"{name} of {len(a)}" for name, a in zip(COLUMNS, arrays, strict=True))
        raise AnnotationError("columns of one length", f"{said} in {path}", "Complete the rows.")
    for name, array in zip(COLUMNS, arrays, strict=True):
        whole = name in COLUMNS[:2]
        if array.dtype.kind not in "iuf" or (whole and not np.array_equal(array, np.floor(array))):
            raise AnnotationError(
                f"{'whole ' if whole else ''}numbers in {name}",
                f"others in {path}",
                "Vertices and parts are whole, nothing is left empty.",
            )
    vertex, part = (array.astype(np.int64) for array in arrays[:2])
    u, v = (array.astype(np.float64) for array in arrays[2:])
    try:
        return ChartTable(vertex, part, u, v)
    except AnnotationError as error:
        expected, received, remedy = error.args
        raise AnnotationError(expected, f"{received} in {path}", remedy) from error


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in COLUMNS if name in arrays}
    except (ValueError, OSError, EOFError) as error:
        raise AnnotationError(
            "a .npz file of arrays", f"{path}: {error}", "Write it with np.savez."
        ) from error


def _read_csv(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.csv

    try:
        return _columns(pyarrow.csv.read_csv(path))
    except pa.ArrowInvalid as error:
        raise AnnotationError("a .csv file with a header", f"{path}: {error}", "Correct it.") from error


def _read_parquet(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _columns(pq.read_table(path))
    except pa.ArrowInvalid as error:
        raise AnnotationError("a Parquet file", f"{path}: {error}", "Write it anew.") from error


def _columns(table: Any) -> dict[str, Any]:
    return {
        name: table[name].to_numpy(zero_copy_only=False) for name in COLUMNS if name in table.column_names
    }


def _read_mat(path: Path) -> dict[str, Any]:
    mat = _load_mat(path)
    if {"All_vertices", "All_Faces", "All_FaceIndices", "All_U_norm", "All_V_norm"} <= mat.keys():
        vertex = mat["All_vertices"].reshape(-1).astype(np.int64) - 1
        part = np.zeros(len(vertex), dtype=np.int64)
        part[mat["All_Faces"].astype(np.int64) - 1] = mat["All_FaceIndices"].reshape(-1, 1)
        on_chart = part > 0  # a chart vertex of no face lies on none
        u, v = (mat[name].reshape(-1).astype(np.float64)[on_chart] for name in ("All_U_norm", "All_V_norm"))
        return {"vertex": vertex[on_chart], "part": part[on_chart], "u": u, "v": v}
    if {"U_subdiv", "V_subdiv", "Part_ID_subdiv"} <= mat.keys():
        beside = path.with_name(SUBDIVISION)
        if not beside.is_file():
            raise DatasetNotFoundError(
                f"{SUBDIVISION} beside {path.name}",
                f"none in {path.parent}",
                "It says which vertex of smpl_27554 each row is; both files come from one place.",
            )
        names = {"part": "Part_ID_subdiv", "u": "U_subdiv", "v": "V_subdiv"}
        columns = {name: mat[key].reshape(-1).astype(np.float64) for name, key in names.items()}
        index = _load_mat(beside).get("index")
        if index is None:
            raise AnnotationError(
                "`index` in the transform", f"{beside} without it", "Take the released file."
            )
        return {"vertex": index.reshape(-1).astype(np.int64) - 1, **columns}
    raise AnnotationError(
        "a .mat file of DensePose's charts (All_vertices, All_Faces, All_FaceIndices, All_U_norm, All_V_norm; or "
        "U_subdiv, V_subdiv, Part_ID_subdiv)",
        f"{path} with {', '.join(sorted(key for key in mat if not key.startswith('__'))) or 'nothing'}",
        "Or write the table as .csv: vertex, part, u, v.",
    )


def _load_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return loadmat(path)
    except (MatReadError, ValueError, TypeError, NotImplementedError, OSError) as error:
        raise AnnotationError(
            "a MATLAB file up to version 7", f"{path}: {error}", "Save it as v7."
        ) from error
