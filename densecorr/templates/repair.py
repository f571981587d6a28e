"""Mend what can be mended without a modelling program, and say what was changed."""

import numpy as np
import trimesh
from jaxtyping import Float, Int

from .checks import component_labels, face_areas, signed_volume
from .mesh import check_arrays, count_edges, join_seams

_JOIN_TOLERANCE = 1e-7
"""Boundary vertices nearer than this share of the bounding box's diagonal are one vertex."""


def repair_mesh(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]
) -> tuple[Float[np.ndarray, "W 3"], Int[np.ndarray, "G 3"], list[str]]:
    """Mend a mesh: split seams, bad faces, stray parts, small holes, winding.

    In this order: faces that use a vertex twice or repeat another face are dropped; boundary vertices at one
    place are joined; the component with the largest area is kept; vertices without a face are dropped; holes
    of three or four edges are closed; winding is made consistent and turned outward. Larger holes,
    non-manifold edges and flat faces stay: `check_mesh` on the result reports them.

    Returns:
        the mended V and F, and a line for every change (empty: nothing to do, V and F are as they came).
        Lines say when vertex ids changed: labels made for the old ids do not fit any more.

    Raises:
        MeshError: the arrays are no mesh at all.
    """
    check_arrays(V, F)
    changes: list[str] = []
    n_before = len(V)
    F = _drop_bad_faces(F, changes)
    V, F = _join(V, F, changes)
    F = _drop_bad_faces(F, changes)  # what joining brought together
    V, F = _keep_main_component(V, F, changes)
    mesh = trimesh.Trimesh(V, F, process=False, validate=False)
    n_open = _count_boundary(F)
    if n_open:
        trimesh.repair.fill_holes(mesh)
        n_left = _count_boundary(np.asarray(mesh.faces))
        if n_left < n_open:
            added = len(mesh.faces) - len(F)
            changes.append(f"closed small holes with {added} faces ({n_left} boundary edges left)")
    before = np.asarray(mesh.faces).copy()
    trimesh.repair.fix_winding(mesh)
    F = np.array(mesh.faces, dtype=np.int64)
    if signed_volume(V, F) < 0:
        F = F[:, ::-1].copy()
    starts = np.where(
        F == before[:, :1]
    )  # each face is its old one or the reverse: compare what follows a corner
    turned = int((F[starts[0], (starts[1] + 1) % 3] != before[:, 1]).sum())
    if turned:
        changes.append(f"turned {turned} faces round")
    if len(V) != n_before:
        changes.append(f"VERTEX IDS CHANGED: {n_before} vertices became {len(V)}")
    return V, F, changes


def _join(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], changes: list[str]
) -> tuple[Float[np.ndarray, "W 3"], Int[np.ndarray, "G 3"]]:
    diagonal = float(np.linalg.norm(np.ptp(V, axis=0)))
    joined, F_joined = join_seams(V, F, _JOIN_TOLERANCE * diagonal)
    if len(joined) < len(V):
        changes.append(f"joined {len(V) - len(joined)} boundary vertices that lay on another one")
    return joined, F_joined


def _drop_bad_faces(F: Int[np.ndarray, "F 3"], changes: list[str]) -> Int[np.ndarray, "G 3"]:
    ordered = np.sort(F, axis=1)
    repeated = (ordered[:, 0] == ordered[:, 1]) | (ordered[:, 1] == ordered[:, 2])
    if repeated.any():
        changes.append(f"dropped {repeated.sum()} faces that used a vertex twice")
        F, ordered = F[~repeated], ordered[~repeated]
    _, first = np.unique(ordered, axis=0, return_index=True)
    if len(first) < len(F):
        changes.append(f"dropped {len(F) - len(first)} faces that repeated another one")
    return F[np.sort(first)]


def _keep_main_component(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], changes: list[str]
) -> tuple[Float[np.ndarray, "W 3"], Int[np.ndarray, "G 3"]]:
    label = component_labels(len(V), F)
    used = np.zeros(len(V), dtype=bool)
    used[F] = True
    area = np.bincount(label[F[:, 0]], face_areas(V, F), minlength=int(label.max()) + 1)
    n_components = len(np.unique(label[used]))
    kept = F[label[F[:, 0]] == int(area.argmax())]
    if n_components > 1:
        changes.append(
            f"kept the largest of {n_components} components, dropped {len(F) - len(kept)} of {len(F)} faces"
        )
    if not used.all():
        changes.append(f"dropped {(~used).sum()} vertices without a face")
    ids, F = np.unique(kept, return_inverse=True)
    return V[ids], F.reshape(-1, 3).astype(np.int64)


def _count_boundary(F: Int[np.ndarray, "F 3"]) -> int:
    return int((count_edges(F)[1] == 1).sum())
