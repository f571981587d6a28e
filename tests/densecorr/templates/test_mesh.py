from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import MeshError
from densecorr.templates.checks import check_mesh, face_areas
from densecorr.templates.mesh import join_seams, orient_mesh, read_mesh

SQUARE_WITH_SEAM = """# two triangles that share an edge, but neither uv nor normals along it
v 0 0 0
v 1 0 0
v 1 1 0 0.5 0.5 0.5
v 0 1 0
vt 0 0
vt 1 1
vn 0 0 1
vn 0 1 0
f 1/1/1 2/2/1 3/1/1 # a comment
f 1/2/2 \\
  3/2/2 4/2/2
"""


def make_bent_sphere() -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    V = np.asarray(sphere.vertices) * [1.0, 2.0, 0.5] + [0.3, 0.0, 0.0]
    return V, np.asarray(sphere.faces, dtype=np.int64)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".off", ".glb", ".gltf"])
def test_every_format_gives_the_same_ids(tmp_path: Path, suffix: str) -> None:
    V, F = make_bent_sphere()
    mesh = trimesh.Trimesh(V, F, process=False)
    path = tmp_path / f"mesh{suffix}"
    if suffix == ".gltf":
        for name, data in trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh)).items():
            (tmp_path / name.replace("model.gltf", "mesh.gltf")).write_bytes(data)
    else:
        mesh.export(path)
    V_read, F_read = read_mesh(path)
    assert (V_read.dtype, F_read.dtype) == (np.float64, np.int64)
    assert_allclose(V_read, V, atol=1e-6)
    assert_array_equal(F_read, F)


def test_stl_triangles_become_one_closed_surface(tmp_path: Path) -> None:
    V, F = make_bent_sphere()
    trimesh.Trimesh(V, F, process=False).export(tmp_path / "mesh.stl")
    V_read, F_read = read_mesh(tmp_path / "mesh.stl")
    assert len(V_read) == len(V)
    assert check_mesh(V_read, F_read, "none").is_closed
    assert_allclose(V_read[F_read], V[F], atol=1e-6)


def test_obj_seams_do_not_split_vertices(tmp_path: Path) -> None:
    V, F = read_mesh(write(tmp_path, "square.obj", SQUARE_WITH_SEAM))
    assert_array_equal(V, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert_array_equal(F, [[0, 1, 2], [0, 2, 3]])


def test_obj_counts_back_with_negative_indices(tmp_path: Path) -> None:
    _, F = read_mesh(
        write(tmp_path, "back.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 1\nf 1 2 -1\n")
    )
    assert_array_equal(F, [[0, 1, 2], [0, 1, 3]])


def test_ply_seams_do_not_split_vertices(tmp_path: Path) -> None:
    header = (
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\n"
        "end_header\n"
    )
    body = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 6 0 0 1 0 1 1\n3 0 2 3 6 .5 .5 .7 .7 0 1\n"
    V, F = read_mesh(write(tmp_path, "square.ply", header + body))
    assert len(V) == 4
    assert_array_equal(F, [[0, 1, 2], [0, 2, 3]])


def test_glb_seams_are_joined(tmp_path: Path) -> None:
    V, F = make_bent_sphere()
    seam_F = F.copy()
    seam_F[: len(F) // 2] += len(V)  # half of the faces use copies of the vertices
    trimesh.Trimesh(np.concatenate([V, V]), seam_F, process=False).export(tmp_path / "seam.glb")
    V_read, F_read = read_mesh(tmp_path / "seam.glb")
    report = check_mesh(V_read, F_read, "none")
    assert report.is_closed
    assert report.n_components == 1
    assert_allclose(np.sort(face_areas(V_read, F_read)), np.sort(face_areas(V, F)), atol=1e-6)


def test_glb_nodes_are_placed_and_mirrored_parts_keep_their_outside(tmp_path: Path) -> None:
    V, F = make_bent_sphere()
    mesh = trimesh.Trimesh(V, F, process=False)
    scene = trimesh.Scene()
    scene.add_geometry(
        mesh, node_name="a", geom_name="part", transform=trimesh.transformations.translation_matrix([5, 0, 0])
    )
    scene.add_geometry(mesh, node_name="b", geom_name="part", transform=np.diag([-1.0, 1.0, 1.0, 1.0]))
    scene.export(tmp_path / "two.glb")
    V_read, F_read = read_mesh(tmp_path / "two.glb")
    assert_allclose(V_read[: len(V)], V + np.array([5, 0, 0]), atol=1e-6)
    assert_allclose(V_read[len(V) :], V * [-1, 1, 1], atol=1e-6)
    report = check_mesh(V_read, F_read, "none")
    assert report.n_components == 2
    assert report.volume == pytest.approx(2 * check_mesh(V, F, "none").volume, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.obj", "v 0 0 0\nv 2 0 0\nv 3 1 0\nv 1 2 0\nv -1 1 0\nv 0 0 1\nf 1 2 3 4 5\nf 1 2 6\n"),
        ("p.off", "OFF\n6 2 0\n0 0 0\n2 0 0\n3 1 0\n1 2 0\n-1 1 0\n0 0 1\n5 0 1 2 3 4\n3 0 1 5\n"),
        (
            "p.ply",
            "ply\nformat ascii 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
            "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
            "0 0 0\n2 0 0\n3 1 0\n1 2 0\n-1 1 0\n0 0 1\n5 0 1 2 3 4\n3 0 1 5\n",
        ),
    ],
    ids=["obj", "off", "ply"],
)
def test_polygons_become_triangles_of_the_same_area(tmp_path: Path, name: str, text: str) -> None:
    V, F = read_mesh(write(tmp_path, name, text))
    pentagon = 0.5 * abs(
        sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(V[:5], np.roll(V[:5], -1, axis=0), strict=True))
    )
    assert len(F) == 4
    assert face_areas(V, F).sum() == pytest.approx(pentagon + 1.0)


def test_group_takes_its_faces_and_their_vertices_in_order(tmp_path: Path) -> None:
    text = "v 9 9 9\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\ng helper extra\nf 1 2 3\ng body\nf 4 3 2\nf 2 3 5\n"
    path = write(tmp_path, "groups.obj", text)
    V, F = read_mesh(path, group="body")
    assert_array_equal(V, [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert_array_equal(F, [[2, 1, 0], [0, 1, 3]])
    assert len(read_mesh(path, group="extra")[1]) == 1
    with pytest.raises(MeshError, match=r"body.*extra.*helper"):
        read_mesh(path, group="hair")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.obj", "", "0 vertices"),
        ("points.obj", "v 0 0 0\nv 1 0 0\n", "0 faces"),
        ("range.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "counts from 1"),
        ("zero.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", r"indices in \[0, 3\)"),
        ("nan.obj", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 1"),
        ("range.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "indices in"),
        ("short.off", "OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "1 of 2 faces"),
        ("4.off", "4OFF\n1 0 0\n0 0 0 0\n", "readable"),
        ("words.obj", "v a b c\n", "readable"),
        ("noise.ply", "not a ply", "readable"),
        ("mesh.fbx", "", "Convert"),
    ],
)
def test_unusable_files_say_why(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(MeshError, match=message):
        read_mesh(write(tmp_path, name, text))


def test_a_missing_file_and_a_group_of_another_format_say_so(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="existing"):
        read_mesh(tmp_path / "none.obj")
    with pytest.raises(MeshError, match="group"):
        read_mesh(write(tmp_path, "a.off", "OFF\n"), group="body")


def test_orienting_is_a_rotation_to_y_up_and_z_front() -> None:
    up, front, left = (
        np.array([[0, 0, 1.0]]),
        np.array([[0, -1.0, 0]]),
        np.array([[1.0, 0, 0]]),
    )  # Blender's axes
    assert_allclose(orient_mesh(up, up="z", front="-y"), [[0, 1, 0]])
    assert_allclose(orient_mesh(front, up="z", front="-y"), [[0, 0, 1]])
    assert_allclose(orient_mesh(left, up="z", front="-y"), [[1, 0, 0]])


def test_orienting_keeps_faces_outward_and_converts_the_unit() -> None:
    V, F = make_bent_sphere()
    volume = check_mesh(V, F, "none").volume
    for up in ("x", "-y", "z"):
        for front in {"x", "y", "z"} - {up[-1]}:
            turned = orient_mesh(V, up=up, front=f"-{front}", unit="cm")
            assert check_mesh(turned, F, "none").volume == pytest.approx(volume * 1e-6)
    assert_allclose(orient_mesh(V, unit="none"), V)
    with pytest.raises(MeshError, match="different axes"):
        orient_mesh(V, up="y", front="-y")


def test_sheets_that_touch_inside_a_closed_surface_stay_apart() -> None:
    V, F = make_bent_sphere()
    V[5] = V[100]
    joined, _ = join_seams(V, F)
    assert len(joined) == len(V)


def test_shared_spot_is_not_split(shared_meshes: Path) -> None:
    V, F = read_mesh(shared_meshes / "spot.obj")
    assert (len(V), len(F)) == (11533, 23062)
    assert check_mesh(V, F, "none").problems == ()


def test_shared_makehuman_body_is_one_group(shared_meshes: Path) -> None:
    V, F = read_mesh(shared_meshes / "makehuman_base.obj", group="body")
    assert (len(V), len(F)) == (13380, 2 * 13378)
    assert check_mesh(V, F, "none").is_closed
    assert len(read_mesh(shared_meshes / "makehuman_base.obj")[0]) == 19158
