"""The reference meshes of CSE annotations (`ref_model`): name, vertices, category, and where to get the files.

No file of them comes with densecorr: the human mesh is SMPL's (its own licence), the animals are released with
detectron2's DensePose project. Who has them gives them to `densecorr template`; the name then says how many vertices
there must be.
"""

from dataclasses import dataclass

from ..errors import MeshError

SOURCE = (
    "detectron2's DensePose project names the mesh files in projects/DensePose/densepose/data/meshes/builtin.py "
    "and describes them in projects/DensePose/doc/DENSEPOSE_CSE.md"
)


@dataclass(frozen=True)
class ReferenceMesh:
    """One released mesh: its `ref_model` name, its vertices, and the category it stands for.

    `category` is the LVIS name, COCO's for people; the chimpanzee is of the DensePose-Chimps videos and in neither.
    """

    name: str
    n_vertices: int
    category: str


REFERENCE_MESHES = {
    mesh.name: mesh
    for mesh in (
        ReferenceMesh("smpl_27554", 27554, "person"),
        ReferenceMesh("bear_4936", 4936, "bear"),
        ReferenceMesh("chimp_5029", 5029, "chimpanzee"),
        ReferenceMesh("cat_7466", 7466, "cat"),
        ReferenceMesh("cow_5002", 5002, "cow"),
        ReferenceMesh("dog_7466", 7466, "dog"),
        ReferenceMesh("elephant_5002", 5002, "elephant"),
        ReferenceMesh("giraffe_5002", 5002, "giraffe"),
        ReferenceMesh("horse_5004", 5004, "horse"),
        ReferenceMesh("sheep_5004", 5004, "sheep"),
        ReferenceMesh("zebra_5002", 5002, "zebra"),
    )
}
"""The meshes of the DensePose-COCO and DensePose-LVIS CSE annotations, by `ref_model` name."""

VERTEX_COUNTS = {name: mesh.n_vertices for name, mesh in REFERENCE_MESHES.items()}
"""Vertices of each reference mesh, by its `ref_model` name."""


def reference_mesh_of(category: str) -> ReferenceMesh | None:
    """The mesh of a category ("cow"), None if there is none."""
    return next((mesh for mesh in REFERENCE_MESHES.values() if mesh.category == category), None)


def check_reference_mesh(name: str, n_vertices: int) -> ReferenceMesh | None:
    """The mesh that goes by that `ref_model` name, after a look at the vertex count; None for any other name.

    Raises:
        MeshError: the name is a reference mesh's and the count is not.
    """
    mesh = REFERENCE_MESHES.get(name)
    if mesh is not None and n_vertices != mesh.n_vertices:
        raise MeshError(
            f"{mesh.n_vertices} vertices in {name}",
            f"{n_vertices}",
            f"Labels of {name} fit only the released mesh, vertex for vertex: take its file ({SOURCE}) without "
            "merging, splitting or reordering vertices (repair = false), or name this mesh differently.",
        )
    return mesh
