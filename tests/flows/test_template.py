"""A mesh becomes a template artifact once; its id follows the mesh and the settings."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from densecorr.errors import MeshError
from densecorr.templates import TemplateSettings, catalog_names, load_catalog_mesh, read_template
from flows.progress import StageProgress
from flows.stage import resolve_inputs, run_stage
from flows.template import STAGE, TemplateCommand, estimate_bytes, template_id
from storage.artifacts import Store

SMALL = TemplateSettings(n_eigenpairs=12, n_coarse=40, unit="cm")


@pytest.fixture
def sphere(tmp_path: Path) -> Path:
    path = tmp_path / "ball.obj"
    trimesh.creation.icosphere(subdivisions=2, radius=50.0).export(path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_mesh_becomes_a_template_once(sphere: Path, store: Store) -> None:
    command = TemplateCommand("beach ball", str(sphere), settings=SMALL)
    made = run_stage(STAGE, command, store, StageProgress("template"))
    template = read_template(store.path(made))
    assert template.template_id == template_id(command) == "beach-ball-v1"
    np.testing.assert_allclose(np.linalg.norm(template.V, axis=1), 0.5, rtol=1e-5)  # centimetres to metres
    before = {
        path: path.stat().st_mtime_ns for path in store.path(made).iterdir() if path.name != "manifest.json"
    }
    assert run_stage(STAGE, command, store, StageProgress("template")) == made
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_the_estimate_is_near_the_size(sphere: Path, store: Store) -> None:
    command = TemplateCommand("ball", str(sphere), settings=TemplateSettings(n_eigenpairs=100, n_coarse=160))
    estimate = estimate_bytes(command, resolve_inputs(command, store))
    made = run_stage(STAGE, command, store, StageProgress("template"))
    assert 0.5 < estimate / store.manifest(made).size < 2.0


def test_a_broken_mesh_leaves_no_artifact(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "open.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    with pytest.raises(MeshError):
        run_stage(STAGE, TemplateCommand("ball", str(path), settings=SMALL), store, StageProgress("template"))
    assert store.list() == []


@pytest.mark.parametrize("name", catalog_names())
def test_a_shipped_shape_goes_by_its_name(name: str, store: Store) -> None:
    command = TemplateCommand("thing", name)
    (digest,) = resolve_inputs(command, store).ids("mesh")
    assert digest == resolve_inputs(command, store).id("mesh")
    assert digest.startswith("sha256:")
    V, _ = load_catalog_mesh(name)
    assert estimate_bytes(command, resolve_inputs(command, store)) > 4 * 256 * len(V)


def test_a_reference_mesh_keeps_its_name_and_must_have_its_vertices(sphere: Path, store: Store) -> None:
    assert template_id(TemplateCommand("cow_5002", "cow.obj")) == "cow_5002"
    command = TemplateCommand("cow_5002", str(sphere), settings=SMALL)
    with pytest.raises(MeshError, match="5002"):
        run_stage(STAGE, command, store, StageProgress("template"))
