"""What the shipped bodies have in common: one connectivity, many shapes and poses."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int


@runtime_checkable
class PosableShape(Protocol):
    """A surface whose vertices keep their meaning while shape and pose change.

    World convention: metres, y up, front towards +z, the subject's left towards +x, lowest point at y = 0.
    """

    @property
    def name(self) -> str:
        """Catalog name, e.g. "body"."""
        ...

    @property
    def F(self) -> Int[np.ndarray, "F 3"]:
        """Faces shared by every shape and pose, counter-clockwise from outside."""
        ...

    def rest(self) -> Float[np.ndarray, "V 3"]:
        """The standard shape in the standard pose: the template."""
        ...

    def sample(self, rng: np.random.Generator, spread: float = 1.0) -> Float[np.ndarray, "V 3"]:
        """A random shape in a random everyday pose; `spread` scales how far both go (0: the standard)."""
        ...
