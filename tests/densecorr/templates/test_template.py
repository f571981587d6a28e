import gc
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import ArtifactError, MeshError, SettingsError
from densecorr.templates import stored, template
from densecorr.templates.geodesics import GeodesicSolver, geodesic_matrix
from densecorr.templates.mesh import read_mesh
from densecorr.templates.template import (
    Template,
    TemplateSettings,
    build_template,
    geodesic_rows,
    kept_geodesic_rows,
    read_template,
    write_template,
)

QUICK = TemplateSettings(n_eigenpairs=16, n_coarse=40)


def make_animal() -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    x, y, z = np.array(sphere.vertices).T
    return np.stack([0.4 * x * (1.2 + z), 0.6 * y + 0.1 * z**2, 0.9 * z + 0.3 * y**2], axis=1), np.array(
        sphere.faces, dtype=np.int64
    )


def assert_same(one: Template, other: Template) -> None:
    for name in Template.__dataclass_fields__:
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert type(getattr(one, name)) is type(getattr(other, name)), name


def test_the_parts_of_a_template_belong_together() -> None:
    V, F = make_animal()
    built = build_template(V, F, "animal-v1", QUICK)
    assert_array_equal(built.V, V)
    assert_array_equal(built.F, F)
    assert_allclose(built.evecs.T @ (built.mass[:, None] * built.evecs), np.eye(16), atol=1e-5)
    assert_array_equal(built.mirror[built.mirror], np.arange(len(V)))
    assert_allclose(built.V[built.mirror], V * [-1, 1, 1], atol=1e-9)
    assert_array_equal(np.sort(built.mirror[built.coarse]), np.sort(built.coarse))
    assert built.coarse_D.shape == (40, 40)
    assert built.diameter == pytest.approx(float(geodesic_matrix(V, F).max()), rel=0.01)
    assert built.mirror_residual < 1e-9
    assert (built.evecs.dtype, built.coarse_D.dtype) == (np.float32, np.float32)
    assert "symmetry: plane normal (1.000, 0.000, 0.000)" in built.report


def test_defaults_are_capped_by_a_small_mesh() -> None:
    V, F = make_animal()
    built = build_template(V, F, "animal-v1")
    assert built.evecs.shape == (len(V), len(V))
    assert_array_equal(built.coarse, np.arange(len(V)))


def test_unit_and_axes_become_metres_y_up_z_front() -> None:
    V, F = make_animal()
    expected = build_template(V, F, "animal-v1", QUICK)
    blender = 100.0 * np.stack([V[:, 0], -V[:, 2], V[:, 1]], axis=1)  # x left, -y front, z up, centimetres
    turned = build_template(blender, F, "animal-v1", replace(QUICK, unit="cm", up="z", front="-y"))
    assert_allclose(turned.V, V, atol=1e-12)
    assert turned.diameter == pytest.approx(expected.diameter)
    assert_array_equal(turned.mirror, expected.mirror)
    assert f"diameter {expected.diameter:.4g} m" in turned.report
    assert turned.unit == "cm"


def test_a_sideways_mesh_is_warned_about() -> None:
    V, F = make_animal()
    assert "not left-right" in build_template(V, F, "animal-v1", replace(QUICK, front="x")).report
    assert "not left-right" not in build_template(V, F, "animal-v1", QUICK).report


def test_an_asymmetric_mesh_is_warned_about() -> None:
    V, F = make_animal()
    V = V + np.stack(
        [np.sin(4 * V[:, 2]) + V[:, 1] ** 2, 2 * V[:, 0] * V[:, 2] ** 2, 3 * V[:, 0] ** 2], axis=1
    )
    built = build_template(V, F, "animal-v1", QUICK)
    assert built.mirror_residual > 0.005
    assert "not symmetric" in built.report


def test_writing_and_reading_gives_the_template_back_and_the_same_bytes(tmp_path: Path) -> None:
    V, F = make_animal()
    built = build_template(V, F, "animal-v1", QUICK)
    write_template(tmp_path / "a", built)
    assert_same(read_template(tmp_path / "a"), built)
    write_template(tmp_path / "b", build_template(V, F, "animal-v1", QUICK))
    for name in ("template.json", "arrays.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("method", ["heat", "exact"])
def test_rows_are_solved_on_demand(method: str) -> None:
    V, F = make_animal()
    built = build_template(V, F, "animal-v1", replace(QUICK, geodesics=method))
    rows = geodesic_rows(built, np.array([5, 0, 5]))
    assert rows.dtype == np.float32
    assert_array_equal(rows, GeodesicSolver(V, F, method).rows([5, 0, 5]))
    assert geodesic_rows(built, []).shape == (0, len(V))
    kept = kept_geodesic_rows(built)
    np.testing.assert_array_equal(kept(np.array([5, 0, 5])), rows)
    assert kept(np.array([], dtype=np.int64)).shape == (0, len(V))


def test_the_coarse_level_agrees_with_the_rows() -> None:
    V, F = make_animal()
    built = build_template(V, F, "animal-v1", replace(QUICK, geodesics="exact"))
    rows = geodesic_rows(built, built.coarse)
    assert_allclose(rows[:, built.coarse], built.coarse_D, atol=1e-6)
    assert_allclose(rows[built.to_coarse, np.arange(len(V))], rows.min(axis=0), atol=1e-6)


def test_rows_of_the_all_pairs_file_are_the_symmetric_matrix(tmp_path: Path) -> None:
    V, F = make_animal()
    V = 1e5 * V  # half precision holds no metres of this size
    built = build_template(V, F, "animal-v1", replace(QUICK, all_pairs=True, unit="none"), folder=tmp_path)
    write_template(tmp_path, built)
    read = read_template(tmp_path)
    assert_same(read, built)
    D = geodesic_matrix(V, F)
    assert_allclose(geodesic_rows(read, [7, 3]), D[[7, 3]], rtol=2e-3)
    assert read.diameter == pytest.approx(float(D.max()), rel=1e-3)
    assert geodesic_rows(read, range(len(V))).max() == pytest.approx(read.diameter, rel=1e-6)


def test_the_solver_is_built_once_and_goes_with_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    V, F = make_animal()
    built = build_template(V, F, "animal-v1", QUICK)
    count = []
    monkeypatch.setattr(stored, "GeodesicSolver", lambda *mesh: count.append(1) or GeodesicSolver(*mesh))
    before = len(stored._SOLVERS)
    for _ in range(3):
        geodesic_rows(built, [1])
    assert len(count) == 1
    del built
    gc.collect()
    assert len(stored._SOLVERS) <= before


@pytest.mark.parametrize("vertex", [-1, 162])
def test_a_vertex_of_another_template_is_refused(vertex: int) -> None:
    built = build_template(*make_animal(), "animal-v1", QUICK)
    with pytest.raises(MeshError, match=f"animal-v1.*{vertex}"):
        geodesic_rows(built, [0, vertex])


def test_an_unusable_mesh_is_refused_with_all_reasons_and_can_be_repaired() -> None:
    V, F = make_animal()
    V, F = np.concatenate([V, [[0.0, 0.0, 0.0]]]), F.copy()
    F[3] = F[3, ::-1]
    with pytest.raises(MeshError, match=r"belong to no face.*opposite ways.*repair = true"):
        build_template(V, F, "animal-v1", QUICK)
    mended = build_template(V, F, "animal-v1", replace(QUICK, repair=True))
    assert "VERTEX IDS CHANGED: 163 vertices became 162" in mended.report
    assert len(mended.V) == 162


@pytest.mark.parametrize(
    ("template_id", "change"),
    [
        ("../animal", {}),
        ("", {}),
        ("a", {"n_coarse": 0}),
        ("a", {"n_eigenpairs": 0}),
        ("a", {"all_pairs": True}),
    ],
)
def test_bad_settings_are_refused(template_id: str, change: dict) -> None:
    with pytest.raises(SettingsError):
        build_template(*make_animal(), template_id, replace(QUICK, **change))


def test_a_large_mesh_goes_without_the_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "MAX_ALL_PAIRS", 100)
    built = build_template(*make_animal(), "animal-v1", replace(QUICK, all_pairs=True), folder=tmp_path)
    assert built.all_pairs is None
    assert "rows are solved on demand" in built.report
    assert list(tmp_path.iterdir()) == []


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="template folder"):
        read_template(tmp_path)
    built = build_template(*make_animal(), "animal-v1", replace(QUICK, all_pairs=True), folder=tmp_path)
    with pytest.raises(SettingsError, match="all-pairs file"):
        write_template(tmp_path / "elsewhere", built)
    write_template(tmp_path, built)
    facts = json.loads((tmp_path / "template.json").read_text())
    (tmp_path / "geodesics.npy").unlink()
    with pytest.raises(ArtifactError, match="all-pairs"):
        read_template(tmp_path)
    (tmp_path / "template.json").write_text(json.dumps(facts | {"format": 99}))
    with pytest.raises(ArtifactError, match="format 99"):
        read_template(tmp_path)
    (tmp_path / "arrays.npz").write_bytes(b"PK")
    with pytest.raises(ArtifactError, match="template folder"):
        read_template(tmp_path)


def test_shared_human_becomes_a_template(shared_meshes: Path) -> None:
    V, F = read_mesh(shared_meshes / "human_man.obj")
    built = build_template(V, F, "human-v1", TemplateSettings(n_eigenpairs=32, n_coarse=100))
    assert 2.0 < built.diameter < 2.6  # metres, from hand to opposite foot or hand to hand over the surface
    assert built.mirror_residual < 0.005
    assert_array_equal(np.sort(built.mirror[built.coarse]), np.sort(built.coarse))
    assert "warning" not in built.report
