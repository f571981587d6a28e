"""Read a mesh without changing its vertex ids, and turn it to the project's axes and unit.

`V` is (V, 3) float64, `F` is (F, 3) int64, counter-clockwise from outside. A label is a vertex id, so a
reader must not split vertices at uv or normal seams, reorder them or drop any.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..errors import MeshError

Unit = Literal["m", "cm", "mm", "none"]
Axis = Literal["x", "y", "z", "-x", "-y", "-z"]

METRES: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "none": 1.0}
"""Metres in one unit; `none` (no known unit) leaves lengths alone."""

MESH_SUFFIXES = (".obj", ".ply", ".off", ".stl", ".glb", ".gltf")


def read_mesh(
    path: Path | str, group: str | None = None
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Read .obj, .ply, .off, .stl, .glb or .gltf; polygons become triangles (quads in two, others as fans).

    Vertex ids are those of the file. Two formats cannot say that two corners share a vertex, so there
    vertices that lie at one place *on a boundary edge* are joined: .stl (three new vertices a face) and
    .glb/.gltf (seams repeat the position). Joining numbers by first appearance, so a glTF file without seams
    keeps its ids.

    Args:
        path: the file.
        group: keep one group (`g`) or object (`o`) of an .obj file, with the vertices its faces use, in file
            order.

    Returns:
        V (V, 3) float64 in the file's own unit and axes, F (F, 3) int64.

    Raises:
        MeshError: no such file, an unknown format, nothing in it, a face index outside V, or a coordinate
            that is not finite.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise MeshError(
            expected=f"a mesh file ({', '.join(MESH_SUFFIXES)})",
            received=str(path),
            remedy="Convert it to one of these; SMPL models (.npz, .pkl) are read by read_smpl.",
        )
    if not path.is_file():
        raise MeshError(expected="an existing mesh file", received=str(path), remedy="Correct the path.")
    if group is not None and suffix != ".obj":
        raise MeshError(
            expected="an .obj file to take a group from",
            received=f"group {group!r} of {path.name}",
            remedy="Leave the group out, or export the mesh as .obj.",
        )
    try:
        if suffix == ".obj":
            V, F = _read_obj(path, group)
        elif suffix == ".off":
            V, F = _read_off(path)
        else:
            V, F = _read_with_trimesh(path, suffix)
    except MeshError:
        raise
    except Exception as error:  # a damaged file fails anywhere inside the parser
        raise MeshError(
            expected=f"a readable {suffix} file",
            received=f"{path}: {type(error).__name__}: {error}",
            remedy="Export the mesh again.",
        ) from error
    check_arrays(V, F, str(path))
    if suffix in (".stl", ".glb", ".gltf"):
        V, F = join_seams(V, F)
    return V, F


def check_arrays(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], name: str = "the mesh") -> None:
    """Refuse arrays that are no mesh at all.

    Raises:
        MeshError: no vertices or faces, a coordinate that is not finite, a face index outside V.
    """
    if len(V) == 0 or len(F) == 0:
        raise MeshError(
            expected="at least one vertex and one face",
            received=f"{len(V)} vertices and {len(F)} faces in {name}",
            remedy="Export the surface as polygons; point clouds and curves are not enough.",
        )
    broken = np.flatnonzero(~np.isfinite(V).all(axis=1))
    if broken.size:
        raise MeshError(
            expected="finite vertex coordinates",
            received=f"{V[broken[0]]} at vertex {broken[0]} ({broken.size} such vertices) in {name}",
            remedy="Export the mesh again; the modelling program left vertices without a position.",
        )
    outside = np.flatnonzero(((F < 0) | (F >= len(V))).any(axis=1))
    if outside.size:
        raise MeshError(
            expected=f"vertex indices in [0, {len(V)})",
            received=f"face {outside[0]} = {F[outside[0]].tolist()} ({outside.size} such faces) in {name}",
            remedy="Check the index base: Wavefront OBJ counts from 1, arrays and the other formats from 0.",
        )


def orient_mesh(
    V: Float[np.ndarray, "V 3"], up: Axis = "y", front: Axis = "z", unit: Unit = "m"
) -> Float[np.ndarray, "V 3"]:
    """Turn and scale a mesh to the project's convention: metres, y up, front +z, the subject's left +x.

    A proper rotation, so faces stay counter-clockwise from outside; the origin stays where it is.

    Args:
        V: vertices in the file's axes and unit.
        up: the file's axis that points up.
        front: the file's axis that the subject faces along.
        unit: the file's unit; `none` keeps the numbers.

    Raises:
        MeshError: `up` and `front` are the same axis.
    """
    up_vector, front_vector = _axis_vector(up), _axis_vector(front)
    if abs(up_vector @ front_vector) > 0:
        raise MeshError(
            expected="two different axes for up and front",
            received=f"up={up}, front={front}",
            remedy="Give the axis the head points along and the axis the subject faces along.",
        )
    rows = np.stack([np.cross(up_vector, front_vector), up_vector, front_vector])  # left, up, front
    return V @ rows.T * METRES[unit]


def join_seams(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], tolerance: float = 0.0
) -> tuple[Float[np.ndarray, "W 3"], Int[np.ndarray, "G 3"]]:
    """Join boundary vertices at one place, and drop the faces that collapse.

    Only vertices on a boundary edge are joined: a seam is always a boundary, while two sheets that touch
    inside a closed surface (lips, eyelids) are not. `tolerance` is a length in the unit of V.
    """
    boundary = boundary_vertices(F)
    if boundary.size == 0:
        return V, F
    pairs = boundary[KDTree(V[boundary]).query_pairs(tolerance, output_type="ndarray")]
    if len(pairs) == 0:
        return V, F
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(V), len(V)))
    _, label = connected_components(graph, directed=False)
    _, first, joined = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(first)  # number the joined vertices by first appearance
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    F = rank[joined][F]
    distinct = (F[:, 0] != F[:, 1]) & (F[:, 1] != F[:, 2]) & (F[:, 2] != F[:, 0])
    return V[first[order]], F[distinct]


def boundary_vertices(F: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, " B"]:
    """Ids, ascending, of the vertices on an edge with a single face."""
    edges, count = count_edges(F)
    return np.unique(edges[count == 1])


def count_edges(F: Int[np.ndarray, "F 3"]) -> tuple[Int[np.ndarray, "E 2"], Int[np.ndarray, " E"]]:
    """Undirected edges (ascending ids) and how many faces each has: 1 boundary, 2 inside."""
    edges = np.sort(F[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0, return_counts=True)


def _axis_vector(axis: Axis) -> Float[np.ndarray, " 3"]:
    vector = np.zeros(3)
    vector["xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    return vector


def _read_obj(path: Path, group: str | None) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Positions and faces of a Wavefront OBJ; uv and normal ids are ignored, so nothing is split."""
    positions: list[list[float]] = []
    polygons: list[list[int]] = []
    groups: set[str] = set()
    inside = group is None
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    for line in text.splitlines():
        word, *rest = line.partition("#")[0].split() or [""]
        if word == "v":
            positions.append([float(number) for number in rest[:3]])
        elif word == "f" and inside:
            ids = [int(corner.split("/")[0]) for corner in rest]
            polygons.append([i - 1 if i > 0 else len(positions) + i for i in ids])
        elif word in ("g", "o") and group is not None:
            names = (
                rest if word == "g" else [" ".join(rest)]
            )  # an `o` line holds one name, a `g` line several
            groups.update(names)
            inside = group in names
    if group is not None and not polygons:
        raise MeshError(
            expected=f"faces in the group {group!r}",
            received=f"groups {sorted(groups)} in {path}",
            remedy="Take one of the groups the file has, or leave the group out.",
        )
    V = np.array(positions, dtype=np.float64).reshape(-1, 3)
    F = trimesh.geometry.triangulate_quads(polygons).reshape(-1, 3)
    if group is None:
        return V, F
    check_arrays(V, F, str(path))
    used, F = np.unique(F, return_inverse=True)
    return V[used], F.reshape(-1, 3)


def _read_off(path: Path) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Positions and faces of an OFF file; colours and normals are passed over."""
    text = "\n".join(line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
    header, _, body = text.partition("OFF")
    if header.strip() not in ("", "C", "N", "CN", "ST"):
        raise ValueError(f"header {header.strip()[:20]!r}OFF")
    counts, *lines = [line.split() for line in body.splitlines() if line.strip()]
    n_vertices, n_faces = int(counts[0]), int(counts[1])
    V = np.array([[float(number) for number in line[:3]] for line in lines[:n_vertices]]).reshape(
        n_vertices, 3
    )
    polygons = [
        [int(i) for i in line[1 : 1 + int(line[0])]] for line in lines[n_vertices : n_vertices + n_faces]
    ]
    if len(polygons) < n_faces:
        raise ValueError(f"{len(polygons)} of {n_faces} faces")
    return V, trimesh.geometry.triangulate_quads(polygons).reshape(-1, 3)


def _read_with_trimesh(path: Path, suffix: str) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices and faces as stored; a scene's meshes are placed and stacked by node name."""
    options: dict[str, Any] = {"process": False, "maintain_order": True, "skip_materials": True}
    if suffix == ".ply":
        options["fix_texture"] = False  # else vertices are split where their faces have different uv
    scene = trimesh.load_scene(path, **options)
    vertices, faces, start = [], [], 0
    for node in sorted(scene.graph.nodes_geometry):
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        if not isinstance(part, trimesh.Trimesh):
            continue
        vertices.append(trimesh.transform_points(part.vertices, transform))
        mirrored = np.linalg.det(transform[:3, :3]) < 0  # a mirroring node turns the faces round
        faces.append(start + (part.faces[:, ::-1] if mirrored else part.faces))
        start += len(part.vertices)
    if not vertices:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    return np.concatenate(vertices).astype(np.float64), np.concatenate(faces).astype(np.int64)
