"""The second back end: pyrender's OpenGL rasteriser through EGL, for GPU machines and for cross-checks.

Our own fragment shader writes the triangle each pixel centre sees; depth and barycentrics then follow exactly
from that triangle's plane. It takes the place of pyrender's segmentation shader: only that pass turns
multisampling off (blended numbers mean nothing), and it draws without lights or materials.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32

from ..errors import DependencyError, MeshError
from ..records import Camera
from .cameras import pixel_rays
from .rasterize import Fragments

SHADERS = Path(__file__).parent / "shaders"
MAX_FACES = (1 << 23) - 1  # each is drawn twice and numbered from 1 in 24 bits


class PyrenderScene:
    """One mesh ready for many views: the same `fragments(camera)` as `EmbreeScene`."""

    def __init__(self, V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> None:
        if len(F) > MAX_FACES:
            raise MeshError(
                f"at most {MAX_FACES} faces", str(len(F)), "Simplify the mesh, or use back end 'embree'."
            )
        pyrender = import_pyrender()
        both_sides = np.concatenate(
            [F, F[:, ::-1]]
        )  # the segmentation pass culls back faces; embree does not
        surface = pyrender.Primitive(positions=V.astype(np.float32), indices=both_sides.astype(np.uint32))
        self._scene = pyrender.Scene()
        self._node = self._scene.add(pyrender.Mesh([surface]))
        self._pyrender = pyrender
        self._renderer: Any = None
        self._V, self._F = V, F
        self._extent = float(np.linalg.norm(np.ptp(V, axis=0)))
        self._middle = (V.min(axis=0) + V.max(axis=0)) / 2

    def fragments(self, camera: Camera) -> Fragments:
        """Nearest surface at the pixel centres."""
        pyrender = self._pyrender
        away = float((camera.R @ self._middle + camera.t)[2])
        lens = pyrender.IntrinsicsCamera(
            camera.K[0, 0],
            camera.K[1, 1],
            camera.K[0, 2] + 0.5,  # OpenGL counts pixel edges
            camera.K[1, 2] + 0.5,
            znear=max(away - self._extent, 1e-3 * self._extent),
            zfar=max(away, 0.0) + self._extent,
        )
        pose = np.eye(4)
        pose[:3, :3] = camera.R.T @ np.diag([1.0, -1.0, -1.0])  # OpenGL looks along -z, y up
        pose[:3, 3] = -camera.R.T @ camera.t
        node = self._scene.add(lens, pose=pose)
        try:
            flags = pyrender.RenderFlags.SEG | pyrender.RenderFlags.RGBA
            drawn = self._sized_renderer(camera).render(self._scene, flags, {self._node: (0, 0, 0)})
        finally:
            self._scene.remove_node(node)
        number = drawn[0][..., :3].astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], dtype=np.int32)
        face = np.where(number > 0, (number - 1) % len(self._F), -1).astype(np.int32)
        return self._solve(camera, face)

    def _sized_renderer(self, camera: Camera) -> Any:
        from pyrender.shader_program import ShaderProgramCache

        if self._renderer is None:
            self._renderer = self._pyrender.OffscreenRenderer(camera.width, camera.height)
            self._renderer._renderer._program_cache = ShaderProgramCache(shader_dir=str(SHADERS))
        self._renderer.viewport_width, self._renderer.viewport_height = camera.width, camera.height
        return self._renderer

    def _solve(self, camera: Camera, face: Int32[np.ndarray, "H W"]) -> Fragments:
        """Depth and barycentrics where each pixel's ray meets its face's plane."""
        shape = (camera.height, camera.width)
        centre, rays = pixel_rays(camera, (0, camera.width), (0, camera.height))
        hit = np.flatnonzero(face.ravel() >= 0)
        corners = self._V[self._F[face.ravel()[hit]]]
        ray, origin = rays[hit].astype(np.float64), centre.astype(np.float64)
        edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        p = np.cross(ray, edge2)
        scale = 1.0 / np.einsum("ij,ij->i", edge1, p)
        s = origin - corners[:, 0]
        u = np.einsum("ij,ij->i", s, p) * scale
        q = np.cross(s, edge1)
        v = np.einsum("ij,ij->i", ray, q) * scale
        bary = np.zeros((face.size, 3), dtype=np.float32)
        inside = np.clip(np.stack([1 - u - v, u, v], axis=1), 0, 1)  # a pixel centre may lie a hair outside
        bary[hit] = inside / inside.sum(axis=1, keepdims=True)
        depth = np.full(face.size, np.inf, dtype=np.float32)
        depth[hit] = np.einsum("ij,ij->i", edge2, q) * scale
        return Fragments(face, bary.reshape(*shape, 3), depth.reshape(shape))


def import_pyrender() -> Any:
    """Pyrender on numpy 2 and EGL, or a DependencyError that says what to install."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    if not hasattr(np, "infty"):
        np.inf = np.inf  # pyrender 0.1.45 still asks for it
    try:
        import pyrender
        from OpenGL import EGL  # noqa: F401 - fails here, in one place, when the system has no libEGL
    except (ImportError, AttributeError, OSError) as error:
        raise DependencyError(
            "pyrender with EGL",
            str(error),
            "Install the system's libegl1, or use back end 'embree' (the default).",
        ) from error
    return pyrender
