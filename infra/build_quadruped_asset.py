"""Bake the reference quadruped into densecorr/templates/data/quadruped.npz (our own procedural mesh).

Run from the repository root after a change to `quadruped_reference.py`:
    python infra/build_quadruped_asset.py
"""

from pathlib import Path

import numpy as np

from densecorr.templates.quadruped_reference import make_reference

ASSET = Path(__file__).parents[1] / "densecorr/templates/data/quadruped.npz"


def main() -> None:
    """Mesh, skin and write the reference; prints what was written."""
    r = make_reference()
    np.savez_compressed(
        ASSET,
        V=r.V.astype(np.float32),
        F=r.F.astype(np.int16),
        mirror=r.mirror.astype(np.int16),
        bones=np.array(r.bones),
        parents=r.parents.astype(np.int16),
        heads=r.heads,
        tails=r.tails,
        skin_bones=r.skin_bones.astype(np.int16),
        skin_weights=r.skin_weights.astype(np.float32),
    )
    print(f"{ASSET}: {len(r.V)} vertices, {len(r.F)} faces, {ASSET.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
