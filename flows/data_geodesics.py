"""`densecorr data geodesics`: the distances between all vertices of a template, as `densecorr score` reads them."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from .session import Session
from .whole_file import whole_file

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Geodesics:
    """Write the geodesic distances of a template as one (V, V) float32 .npy file, in metres (or the mesh's unit)."""

    template: Positional[str]
    """A `template` artifact: an id, its first digits, or a tag."""
    out: Positional[Path]
    """The .npy file; it appears whole or not at all."""

    def __call__(self, session: Session) -> None:
        """Solve and write."""
        import numpy as np

        from densecorr.templates.stored import geodesic_rows, read_template

        from .progress import StageProgress

        template = read_template(session.store.path(session.store.resolve(self.template)))
        n = len(template.V)
        with whole_file(self.out) as part:
            D = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(n, n))
            with StageProgress("geodesics") as progress:
                for start in range(0, n, ROWS_AT_ONCE):
                    progress(start, n, "vertices")
                    stop = min(start + ROWS_AT_ONCE, n)
                    D[start:stop] = geodesic_rows(template, range(start, stop))
            D.flush()
            del D
        print(f"{self.out}: {n} x {n}, float32")
