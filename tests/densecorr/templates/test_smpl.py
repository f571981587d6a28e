import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import DependencyError, MeshError
from densecorr.templates.smpl import read_smpl


def make_model() -> dict[str, Any]:
    """The arrays of a SMPL file, on a small sphere: one joint's worth of everything a model file holds."""
    sphere = trimesh.creation.icosphere(subdivisions=1)
    V = np.array(sphere.vertices)
    rng = np.random.default_rng(0)
    return {
        "v_template": V,
        "f": np.array(sphere.faces, dtype=np.uint32),
        "shapedirs": 0.01 * rng.standard_normal((len(V), 3, 10)),
        "posedirs": np.zeros((len(V), 3, 9)),
        "J_regressor": np.full((2, len(V)), 1 / len(V)),
        "kintree_table": np.array([[-1, 0], [0, 1]]),
        "weights": np.full((len(V), 2), 0.5),
    }


def test_the_mean_shape_is_the_template(tmp_path: Path) -> None:
    model = make_model()
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **model)
    V, F = read_smpl(tmp_path / "SMPL_NEUTRAL.npz")
    assert_array_equal(V, model["v_template"])
    assert_array_equal(F, model["f"])
    assert (V.dtype, F.dtype) == (np.float64, np.int64)


def test_betas_add_their_shape_directions(tmp_path: Path) -> None:
    model = make_model()
    np.savez(tmp_path / "model.npz", **model)
    V, _ = read_smpl(tmp_path / "model.npz", betas=np.array([2.0, 0.0, -1.0]))
    expected = model["v_template"] + 2 * model["shapedirs"][:, :, 0] - model["shapedirs"][:, :, 2]
    assert_allclose(V, expected, atol=1e-12)
    with pytest.raises(MeshError, match="at most 10"):
        read_smpl(tmp_path / "model.npz", betas=np.zeros(11))


def test_objects_beside_the_arrays_are_left_unread(tmp_path: Path) -> None:
    """SMPL-X files hold pickled dictionaries too; the arrays are read without running those."""
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **make_model(), part2num=np.array({"head": 1}, dtype=object))
    assert len(read_smpl(tmp_path / "SMPLX_NEUTRAL.npz")[0]) == 42
    np.savez(tmp_path / "evil.npz", **{**make_model(), "f": np.array({"faces": 1}, dtype=object)})
    with pytest.raises(MeshError, match="objects are refused"):
        read_smpl(tmp_path / "evil.npz")


class Explosive:
    def __reduce__(self) -> tuple:
        return (sys.exit, ("the pickle ran",))


def test_a_pickle_is_refused_unread_unless_it_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Explosive()))
    with pytest.raises(MeshError, match=r"run any code.*allow_pickle"):
        read_smpl(tmp_path / "evil.pkl")
    (tmp_path / "SMPL_MALE.pkl").write_bytes(pickle.dumps(make_model(), protocol=2))
    V, F = read_smpl(tmp_path / "SMPL_MALE.pkl", allow_pickle=True)
    assert V.shape == (42, 3)
    assert F.max() == 41


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no pickle", "a SMPL .pkl"), (pickle.dumps([1, 2]), "a list"), (b"cchumpy.ch\nCh\n.", "chumpy")],
)
def test_a_damaged_pickle_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.pkl").write_bytes(content)
    with pytest.raises((MeshError, DependencyError), match=message):
        read_smpl(tmp_path / "model.pkl", allow_pickle=True)


def test_a_missing_file_says_where_to_register_and_what_is_free(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"smpl\.is\.tue\.mpg\.de.*body"):
        read_smpl(tmp_path / "SMPL_NEUTRAL.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", v_template=np.zeros((3, 3)))
    with pytest.raises(MeshError, match="without shapedirs, f"):
        read_smpl(tmp_path / "other.npz")
    (tmp_path / "mesh.obj").write_text("")
    with pytest.raises(MeshError, match="read_mesh"):
        read_smpl(tmp_path / "mesh.obj")


def test_shaping_without_smplx_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "model.npz", **make_model())
    monkeypatch.setitem(sys.modules, "smplx.lbs", None)
    with pytest.raises(DependencyError, match="pip install smplx"):
        read_smpl(tmp_path / "model.npz", betas=np.zeros(1))
