"""Templates: read and check a mesh, and compute once what every later stage needs from it.

Imports from here are light except for what they name: bodies and the mesh catalog load when they are called.
"""

from .catalog import catalog_names, load_catalog_mesh, load_catalog_shape
from .checks import MeshProblem, MeshReport, check_mesh
from .colors import template_colors
from .geodesics import GeodesicSolver, geodesic_matrix
from .laplacian import laplacian_basis, mesh_laplacian
from .mesh import orient_mesh, read_mesh
from .repair import repair_mesh
from .smpl import read_smpl
from .symmetry import Symmetry, find_symmetry
from .template import (
    Template,
    TemplateSettings,
    build_template,
    geodesic_rows,
    read_template,
    write_template,
)

__all__ = [
    "GeodesicSolver",
    "MeshProblem",
    "MeshReport",
    "Symmetry",
    "Template",
    "TemplateSettings",
    "build_template",
    "catalog_names",
    "check_mesh",
    "find_symmetry",
    "geodesic_matrix",
    "geodesic_rows",
    "laplacian_basis",
    "load_catalog_mesh",
    "load_catalog_shape",
    "mesh_laplacian",
    "orient_mesh",
    "read_mesh",
    "read_smpl",
    "read_template",
    "repair_mesh",
    "template_colors",
    "write_template",
]
