"""Meshes that come with the product, by name; `template` takes such a name in place of a file."""

import numpy as np
from jaxtyping import Float, Int

from ..errors import MeshError
from .posable import PosableShape

_NAMES = ("body", "quadruped")


def catalog_names() -> tuple[str, ...]:
    """Names that `load_catalog_mesh` and `load_catalog_shape` take."""
    return _NAMES


def load_catalog_shape(name: str) -> PosableShape:
    """The posable shape of that name; see `posable.PosableShape`.

    Raises:
        MeshError: an unknown name.
    """
    if name == "body":
        from .body import load_body

        return load_body()
    if name == "quadruped":
        from .quadruped import load_quadruped

        return load_quadruped()
    raise MeshError(
        expected=f"a catalog mesh: {', '.join(_NAMES)}",
        received=repr(name),
        remedy="Take one of these names, or give the path of a mesh file.",
    )


def load_catalog_mesh(name: str) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Rest mesh of a shipped shape: metres, y up, front +z, left +x; F counter-clockwise from outside."""
    shape = load_catalog_shape(name)
    return np.asarray(shape.rest(), dtype=np.float64), np.asarray(shape.F, dtype=np.int64)
