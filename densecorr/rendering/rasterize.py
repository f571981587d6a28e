"""What each pixel of a view sees: face, barycentrics and depth, by embree's ray casting."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from ..errors import SettingsError
from ..records import Camera
from .cameras import project_points, rays_through

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
        self._V, self._corners = V, np.ascontiguousarray(F.T)
        self._box = np.stack(np.meshgrid(*zip(V.min(axis=0), V.max(axis=0), strict=True)), axis=-1).reshape(
            -1, 3
        )

    def fragments(self, camera: Camera) -> Fragments:
        """First hits of the rays through the pixel centres."""
        shape = (camera.height, camera.width)
        face = np.full(shape, -1, dtype=np.int32)
        bary = np.zeros((*shape, 3), dtype=np.float32)
        depth = np.full(shape, np.inf, dtype=np.float32)
        pixels = np.flatnonzero(self._may_see(camera))
        if len(pixels):
            y, x = np.divmod(pixels.astype(np.int32), np.int32(camera.width))  # a third of int64's time
            centre, rays = rays_through(camera, x, y)
            origins = np.repeat(centre[None], len(rays), axis=0)
            hits = self._scene.run(origins, rays, query="INTERSECT", output=True)
            struck = np.flatnonzero(hits["primID"] >= 0)
            u, v, hit = hits["u"][struck], hits["v"][struck], pixels[struck]
            face.reshape(-1)[hit] = hits["primID"][struck]
            bary.reshape(-1, 3)[hit] = np.stack([1 - u - v, u, v], axis=1)
            depth.reshape(-1)[hit] = hits["tfar"][struck]
        return Fragments(face, bary, depth)

    def _may_see(self, camera: Camera) -> Bool[np.ndarray, "H W"]:
        """Pixels whose rays may hit: in the projected bounding box and, where that pays, near a projected face."""
        shape = (camera.height, camera.width)
        xy, depth = project_points(self._box, camera)
        if (depth <= 1e-6).any():  # the box reaches behind the camera: its projection bounds nothing
            return np.ones(shape, dtype=bool)
        if camera.height * camera.width > 4 * self._corners.shape[1]:
            return covered_tiles(project_points(self._V, camera)[0], self._corners, shape)
        low = np.clip(np.floor(xy.min(axis=0)), 0, shape[::-1]).astype(int)
        high = np.clip(np.ceil(xy.max(axis=0)) + 1, 0, shape[::-1]).astype(int)
        seen = np.zeros(shape, dtype=bool)
        seen[low[1] : high[1], low[0] : high[0]] = True
        return seen


def covered_tiles(
    xy: Float[np.ndarray, "V 2"], corners: Int[np.ndarray, "3 F"], shape: tuple[int, int], side: int = 4
) -> Bool[np.ndarray, "H W"]:
    """Pixels in tiles that the bounding box of some projected face touches; `corners` are vertices.

    Tiles meet half-way between pixel centres, so that rounding cannot lose a pixel.
    """
    boxes = []
    for position, n_pixels in zip(xy.T, shape[::-1], strict=True):
        n_tiles = -(-n_pixels // side)
        tile = np.clip(np.floor((position + 0.5) / side), -1, n_tiles).astype(np.int32)
        a, b, c = tile[corners]
        first = np.maximum(np.minimum(np.minimum(a, b), c), 0)
        end = np.minimum(np.maximum(np.maximum(a, b), c) + 1, n_tiles)
        boxes.append((first, end, n_tiles))
    (left, right, width), (top, bottom, height) = boxes
    step, n = width + 1, (width + 1) * (height + 1)  # one more each way, where boxes end
    ups = np.bincount(np.concatenate([top * step + left, bottom * step + right]), minlength=n)
    downs = np.bincount(np.concatenate([top * step + right, bottom * step + left]), minlength=n)
    count = (ups - downs).reshape(height + 1, step).cumsum(axis=0).cumsum(axis=1)[:height, :width]
    return (count > 0).repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


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
