"""Pictures from fragments: normal map, shaded surface, depth and vertex colours."""

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..records import Camera
from .rasterize import Fragments


def vertex_normals(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "V 3"]:
    """Unit normals, each the area-weighted mean of the faces around the vertex, pointing outwards."""
    corners = V[F]
    area_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [np.bincount(F.ravel(), np.repeat(area_normal[:, axis], 3), minlength=len(V)) for axis in range(3)],
        axis=1,
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def interpolate(
    fragments: Fragments, F: Int[np.ndarray, "F 3"], values: Float[np.ndarray, "V c"]
) -> Float[np.ndarray, "H W c"]:
    """Per-vertex values at each pixel by its barycentrics; 0 where the view is empty."""
    corners = values[F[np.maximum(fragments.face, 0)]]
    return np.einsum("hwk,hwkc->hwc", fragments.bary.astype(corners.dtype), corners)


def normal_image(
    fragments: Fragments, V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], camera: Camera
) -> UInt8[np.ndarray, "H W 3"]:
    """Camera-frame normals as colours (x right, y up, z towards the camera; 128 is zero), black where empty.

    The rendering style SHIC matches best against (Sec. 3.3, Table 5).
    """
    normals = interpolate(fragments, F, vertex_normals(V, F)) @ (np.diag([1.0, -1.0, -1.0]) @ camera.R).T
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return _paint(fragments, (normals + 1) * 127.5)


def shaded_image(
    fragments: Fragments,
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    colors: Float[np.ndarray, "V 3"] | None = None,
    light: Float[np.ndarray, " 3"] | None = None,
    ambient: float = 0.35,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lambert shading of vertex colours in [0, 1] (grey when absent) under one far light (world direction to it)."""
    light = np.array([0.4, 0.7, 0.6]) if light is None else light
    colors = np.full((len(V), 3), 0.75) if colors is None else colors
    normals = interpolate(fragments, F, vertex_normals(V, F))
    lambert = np.clip(normals @ (light / np.linalg.norm(light)), 0, 1)
    albedo = interpolate(fragments, F, colors)
    return _paint(fragments, 255 * albedo * (ambient + (1 - ambient) * lambert[..., None]))


def depth_image(fragments: Fragments) -> UInt8[np.ndarray, "H W 3"]:
    """Depth as grey, nearest white, farthest dark, black where empty."""
    hit = fragments.face >= 0
    near, far = (fragments.depth[hit].min(), fragments.depth[hit].max()) if hit.any() else (0.0, 1.0)
    grey = 255 - 205 * (np.where(hit, fragments.depth, far) - near) / max(far - near, 1e-12)
    return _paint(fragments, np.repeat(grey[..., None], 3, axis=-1))


def vertex_color_image(
    fragments: Fragments, F: Int[np.ndarray, "F 3"], colors: UInt8[np.ndarray, "V 3"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Vertex colours interpolated over the surface, black where empty."""
    return _paint(fragments, interpolate(fragments, F, colors.astype(np.float64)))


def _paint(fragments: Fragments, values: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    inside = fragments.face >= 0
    return np.where(inside[..., None], np.clip(np.rint(values), 0, 255), 0).astype(np.uint8)
