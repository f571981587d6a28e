"""The Laplace-Beltrami operator of a mesh and its low eigenpairs, the basis of CSE's vertex embeddings."""

import numpy as np
import robust_laplacian
import scipy.linalg
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import eigsh

_DENSE_LIMIT = 600
"""Up to so many vertices, or for over a third of the spectrum, the dense solver is as quick."""


def mesh_laplacian(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]
) -> tuple[sparse.csc_matrix, Float[np.ndarray, " V"]]:
    """Stiffness matrix and lumped vertex areas by the tufted intrinsic Delaunay construction.

    Bad triangles, boundaries and non-manifold edges are all right; a vertex without a face is not.

    Returns:
        L (V, V), positive semi-definite, rows sum to zero; mass (V,), vertex areas in the squared unit of V.

    Source: Sharp and Crane, A Laplacian for Nonmanifold Triangle Meshes, SGP 2020 (robust_laplacian).
    """
    L, M = robust_laplacian.mesh_laplacian(np.ascontiguousarray(V, dtype=np.float64), F)
    return L.tocsc(), np.asarray(M.diagonal())


def laplacian_basis(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], n_eigenpairs: int
) -> tuple[Float[np.ndarray, " V"], Float[np.ndarray, " k"], Float[np.ndarray, "V k"]]:
    """Lumped mass, lowest eigenvalues and mass-orthonormal eigenvectors; k = min(n_eigenpairs, V).

    Returns:
        mass (V,) squared unit of V; evals (k,) ascending, 1 / squared unit; evecs (V, k).

    Source: CSE (Neverova et al. 2020), sec. 3.2: the first M eigenfunctions span the vertex embeddings.
    """
    L, mass = mesh_laplacian(V, F)
    evals, evecs = solve_eigenpairs(L, mass, n_eigenpairs)
    return mass, evals, evecs


def solve_eigenpairs(
    L: sparse.csc_matrix, mass: Float[np.ndarray, " V"], n_eigenpairs: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "V k"]]:
    """Lowest solutions of `L e = lambda diag(mass) e`, the same bytes for the same input.

    The problem is made symmetric with unit total mass (so the scale of the mesh does not matter) and solved
    by shift-invert Lanczos from a fixed start vector. A sign rule fixes the rest: see `fix_signs`.

    Returns:
        evals (k,) ascending and not negative, evecs (V, k) with `evecs.T @ (mass[:, None] * evecs)` the
        identity.
    """
    total = float(mass.sum())
    k = min(n_eigenpairs, len(mass))
    root = np.sqrt(mass / total)
    scaling = sparse.diags_array(1.0 / root)
    A = (scaling @ L @ scaling).tocsc()
    A = 0.5 * (A + A.T)
    if len(mass) <= _DENSE_LIMIT or 3 * k > len(mass):
        evals, vectors = scipy.linalg.eigh(A.toarray(), subset_by_index=(0, k - 1))
    else:
        start = np.random.default_rng(0).standard_normal(len(mass))
        # A is singular (constants); a shift this far below zero keeps the factorisation and loses no digits.
        evals, vectors = eigsh(A, k=k, sigma=-0.01, which="LM", v0=start)
    order = np.argsort(evals, kind="stable")
    evecs = fix_signs(vectors[:, order] / root[:, None]) / np.sqrt(total)
    return np.maximum(evals[order], 0.0) / total, evecs


def fix_signs(evecs: Float[np.ndarray, "V k"]) -> Float[np.ndarray, "V k"]:
    """Make each column's entry of largest magnitude positive.

    On a symmetric mesh two entries can tie up to rounding: among those within 1e-4 of the largest, the lowest
    vertex decides.
    """
    size = np.abs(evecs)
    decisive = (size >= (1.0 - 1e-4) * size.max(axis=0)).argmax(axis=0)
    sign = np.sign(evecs[decisive, np.arange(evecs.shape[1])])
    return evecs * np.where(sign == 0, 1.0, sign)
