"""What each pixel of a view sees: face, barycentrics and depth, by embree's ray casting."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from ..errors import SettingsError
from ..records import Camera
from .cameras import pixel_rays, project_points

Backend = Literal["embree", "pyrender"]


@dataclass(frozen=True)
class Fragments:
    """One view's pixels: `face` (-1 empty), barycentrics of its three corners, depth along z (inf empty)."""

    face: Int32[np.ndarray, "H W"]
    bary: Float32[np.ndarray, "H W 3"]
    depth: Float32[np.ndarray, "H W"]


@runtime_checkable
class Scene(Protocol):
    """One mesh ready for many cameras, whatever the back end."""

    def fragments(self, camera: Camera) -> Fragments:
        """What each pixel of the camera sees."""
        ...


class EmbreeScene:
    """One mesh, its ray-casting tree built once, for many cameras."""

    def __init__(self, V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        self._scene = rtcore_scene.EmbreeScene()
        self._mesh = TriangleMesh(self._scene, V.astype(np.float32), F.astype(np.int32))
        self._corners = np.stack(
            np.meshgrid(*zip(V.min(axis=0), V.max(axis=0), strict=True)), axis=-1
        ).reshape(-1, 3)

    def fragments(self, camera: Camera) -> Fragments:
        """First hits of the rays through the pixel centres."""
        shape = (camera.height, camera.width)
        face = np.full(shape, -1, dtype=np.int32)
        bary = np.zeros((*shape, 3), dtype=np.float32)
        depth = np.full(shape, np.inf, dtype=np.float32)
        columns, rows = self._window(camera)
        if columns[0] < columns[1] and rows[0] < rows[1]:
            centre, rays = pixel_rays(camera, columns, rows)
            origins = np.repeat(centre[None], len(rays), axis=0)
            hits = self._scene.run(origins, rays, query="INTERSECT", output=True)
            struck = np.flatnonzero(hits["primID"] >= 0)
            y, x = np.divmod(struck, columns[1] - columns[0])
            y, x = y + rows[0], x + columns[0]
            u, v = hits["u"][struck], hits["v"][struck]
            face[y, x] = hits["primID"][struck]
            bary[y, x] = np.stack([1 - u - v, u, v], axis=1)
            depth[y, x] = hits["tfar"][struck]
        return Fragments(face, bary, depth)

    def _window(self, camera: Camera) -> tuple[tuple[int, int], tuple[int, int]]:
        """Columns and rows that can see the mesh: its bounding box's projection; rays elsewhere cannot hit."""
        xy, depth = project_points(self._corners, camera)
        if (depth <= 1e-6).any():  # the box reaches behind the camera: its projection bounds nothing
            return (0, camera.width), (0, camera.height)
        low = np.clip(np.floor(xy.min(axis=0)), 0, [camera.width, camera.height]).astype(int)
        high = np.clip(np.ceil(xy.max(axis=0)) + 1, 0, [camera.width, camera.height]).astype(int)
        return (int(low[0]), int(high[0])), (int(low[1]), int(high[1]))


def rasterize(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], camera: Camera, backend: Backend = "embree"
) -> Fragments:
    """Fragments of one view of a mesh (metres). For many views of one mesh, keep the scene: `make_scene`."""
    return make_scene(V, F, backend).fragments(camera)


def make_scene(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], backend: Backend = "embree") -> Scene:
    """The mesh ready for many views, in the chosen back end."""
    if backend == "embree":
        return EmbreeScene(V, F)
    if backend == "pyrender":
        from .pyrender_backend import PyrenderScene

        return PyrenderScene(V, F)
    raise SettingsError("back end 'embree' or 'pyrender'", repr(backend), "Correct the settings.")


def vertex_map(fragments: Fragments, F: Int[np.ndarray, "F 3"]) -> Int32[np.ndarray, "H W"]:
    """The vertex of largest barycentric weight at each pixel; -1 where the view is empty."""
    corner = F[np.maximum(fragments.face, 0)]
    nearest = np.take_along_axis(corner, fragments.bary.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return np.where(fragments.face >= 0, nearest, -1).astype(np.int32)


def visible_vertices(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], camera: Camera, fragments: Fragments
) -> Bool[np.ndarray, " V"]:
    """Whether each vertex is seen: inside the image and not behind the surface at its pixel.

    A vertex counts when its depth is at most that of the deepest covered pixel of the 2x2 around its projection,
    plus half a pixel's footprint: enough for slanted surfaces, too little to see through a limb.
    """
    xy, depth = project_points(V, camera)
    with np.errstate(invalid="ignore"):
        corner = np.floor(xy)
        inside = (
            (depth > 0) & (corner >= 0).all(axis=1) & (corner + 1 < [camera.width, camera.height]).all(axis=1)
        )
    x, y = np.where(inside[:, None], corner, 0).astype(np.int64).T
    around = np.stack([fragments.depth[y + dy, x + dx] for dy in (0, 1) for dx in (0, 1)])
    deepest = np.where(np.isfinite(around), around, -np.inf).max(axis=0)
    footprint = depth / camera.K[0, 0]
    return inside & (depth <= deepest + footprint)
