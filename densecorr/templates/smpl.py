"""The rest surface of a SMPL, SMPL-H or SMPL-X model file of the user (licence-gated, never shipped)."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..errors import DependencyError, MeshError
from .mesh import check_arrays

_WHERE = (
    "Register (free for research) and accept the licence at https://smpl.is.tue.mpg.de (SMPL), "
    "https://mano.is.tue.mpg.de (SMPL-H) or https://smpl-x.is.tue.mpg.de (SMPL-X), then give the path of the "
    "model file; without one, the template `body` is free to use."
)
_NEEDED = ("v_template", "shapedirs", "f")


def read_smpl(
    path: Path | str, allow_pickle: bool = False, betas: Float[np.ndarray, " S"] | None = None
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices at zero pose and faces: 6,890 (SMPL, SMPL-H) or 10,475 (SMPL-X) vertices.

    Of an .npz only the three arrays needed are read, and never as pickles, so the file cannot run code. A
    .pkl can: it is read only with `allow_pickle`. At zero pose the pose blend shapes vanish and skinning is
    the identity, so the surface is the mean shape plus `smplx.lbs.blend_shapes` of the betas (SMPL, Loper et
    al. 2015, eq. 7-8). SMPL files are in metres, y up, facing +z, with the person's left at +x: the project's
    convention.

    Args:
        path: the model file, .npz or .pkl.
        allow_pickle: accept a .pkl, from a source you trust.
        betas: shape coefficients, the first of the model's; none is the mean shape.

    Raises:
        DependencyError: no such file (the message says where to register), smplx is not installed, or a .pkl
            needs a package (chumpy) that is not installed.
        MeshError: a .pkl without `allow_pickle`, not a SMPL file, or more betas than the model has.
    """
    path = Path(path)
    if not path.is_file():
        raise DependencyError(expected="a SMPL model file", received=f"no file {path}", remedy=_WHERE)
    if path.suffix == ".npz":
        model = _read_npz(path)
    elif path.suffix == ".pkl":
        model = _read_pickle(path, allow_pickle)
    else:
        raise MeshError(
            expected="a SMPL model file, .npz or .pkl",
            received=str(path),
            remedy="Other meshes are read by read_mesh.",
        )
    missing = [name for name in _NEEDED if name not in model]
    if missing:
        raise MeshError(
            expected=f"a SMPL model with {', '.join(_NEEDED)}",
            received=f"{path} without {', '.join(missing)}",
            remedy=_WHERE,
        )
    V = np.asarray(model["v_template"], dtype=np.float64)
    F = np.asarray(model["f"]).astype(np.int64)
    if betas is not None:
        V = V + _blend_shapes(
            np.asarray(betas, dtype=np.float64), np.asarray(model["shapedirs"], dtype=np.float64)
        )
    check_arrays(V, F, str(path))
    return V, F


def _blend_shapes(
    betas: Float[np.ndarray, " S"], shapedirs: Float[np.ndarray, "V 3 N"]
) -> Float[np.ndarray, "V 3"]:
    if len(betas) > shapedirs.shape[2]:
        raise MeshError(
            expected=f"at most {shapedirs.shape[2]} shape coefficients",
            received=str(len(betas)),
            remedy="Shorten betas, or take the model file with more shape components.",
        )
    try:
        import torch
        from smplx.lbs import blend_shapes
    except ImportError as error:
        raise DependencyError(
            expected="the package smplx, to shape a SMPL model",
            received=f"{error}",
            remedy='Run "pip install smplx", or leave betas out.',
        ) from error
    tensors: list[Any] = [
        torch.from_numpy(betas)[None],
        torch.from_numpy(shapedirs[:, :, : len(betas)].copy()),
    ]
    return blend_shapes(*tensors)[0].numpy()


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in _NEEDED if name in file}
    except (ValueError, OSError) as error:
        raise MeshError(
            expected=f"an .npz with plain arrays {', '.join(_NEEDED)}",
            received=f"{path}: {error}",
            remedy="Take the .npz from the model's own site; arrays of Python objects are refused.",
        ) from error


def _read_pickle(path: Path, allow_pickle: bool) -> dict[str, Any]:
    if not allow_pickle:
        raise MeshError(
            expected="an .npz model file",
            received=f"{path.name}, a pickle: loading it can run any code its author put there",
            remedy="Take the .npz from the model's site, or set allow_pickle = true if you trust its source.",
        )
    try:
        with path.open("rb") as file:
            model = pickle.load(file, encoding="latin1")
    except ImportError as error:
        raise DependencyError(
            expected="the packages that the pickle names",
            received=f"{error}",
            remedy="Take the .npz: the .pkl of the first release needs chumpy.",
        ) from error
    except (pickle.UnpicklingError, EOFError, AttributeError, UnicodeDecodeError) as error:
        raise MeshError(expected="a SMPL .pkl", received=f"{path}: {error}", remedy=_WHERE) from error
    if not isinstance(model, dict):
        raise MeshError(expected="a SMPL .pkl", received=f"{path}, a {type(model).__name__}", remedy=_WHERE)
    return model
