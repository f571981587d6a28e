"""What the fake desk is about: the body template with parts, and pictures of it with points, some of them wrong."""

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from densecorr.templates import load_catalog_mesh, template_colors

SIZE = (420, 620)  # width and height of a picture
N_POINTS = 48
PARTS = ("feet", "legs", "trunk", "arms", "head")


@dataclass(frozen=True)
class Body:
    """The template's arrays."""

    V: np.ndarray
    F: np.ndarray
    colors: np.ndarray
    mirror: np.ndarray
    parts: np.ndarray


@cache
def body() -> Body:
    """The body, its mirror found by nearest neighbours, its parts by simple planes."""
    from scipy.spatial import cKDTree

    V, F = load_catalog_mesh("body")
    mirror = cKDTree(V).query(V * [-1, 1, 1])[1]
    height, aside = V[:, 1] / V[:, 1].max(), np.abs(V[:, 0])
    parts = np.select([height < 0.06, height < 0.45, height > 0.86, aside > 0.2], [0, 1, 4, 3], 2)
    return Body(V, F, template_colors(V), mirror, parts.astype(np.uint8))


def encode(array: np.ndarray, kind: str) -> str:
    """As docs/review-protocol.md has it."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def template(mirror: bool = True, parts: bool = True) -> dict[str, Any]:
    """The object `template`."""
    shape = body()
    return {
        "template_id": "body-v1",
        "name": "body",
        "vertices": encode(shape.V, "<f4"),
        "faces": encode(shape.F, "<i4"),
        "colors": encode(shape.colors, "u1"),
        "mirror": encode(shape.mirror, "<i4") if mirror else None,
        "parts": encode(shape.parts, "u1") if parts else None,
        "part_names": list(PARTS) if parts else [],
        "diameter": 2.4,
    }


@cache
def view(yaw: float, n_points: int = N_POINTS) -> dict[str, Any]:
    """The body seen from an angle: picture, outline, points; what the instances at this angle share."""
    shape, (width, height) = body(), SIZE
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    at = shape.V @ turn.T
    scale = 0.85 * height / np.ptp(at[:, 1])
    xy = np.stack([width / 2 + scale * at[:, 0], height * 0.93 - scale * at[:, 1]], axis=1)
    corners = at[shape.F]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    image = np.linspace([70, 96, 84], [150, 160, 150], height)[:, None].repeat(width, 1)
    image = np.ascontiguousarray(image, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    owner = np.full((height, width), -1, np.int32)
    for face in np.argsort(corners[:, :, 2].mean(axis=1)):
        if normal[face, 2] <= 0:
            continue
        polygon = np.round(xy[shape.F[face]]).astype(np.int32)
        light = 0.35 + 0.65 * max(0.0, float(normal[face] @ [0.3, 0.5, 0.81]))
        cv2.fillConvexPoly(image, polygon, (light * np.array([150, 175, 214])).tolist())
        cv2.fillConvexPoly(mask, polygon, 1)
        cv2.fillConvexPoly(owner, polygon, int(face))
    return {
        "png": "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode(),
        "silhouette": [
            contour.reshape(-1).astype(float).tolist()
            for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)[0]
        ],
        "points": _points(xy, owner, n_points, seed=int(yaw * 1000) % 1000),
    }


def _points(xy: np.ndarray, owner: np.ndarray, n_points: int, seed: int) -> list[dict[str, Any]]:
    """Points spread over the picture; every sixth is mirrored, as a bad label would be."""
    rng, shape = np.random.default_rng(seed), body()
    apart = 28 * (N_POINTS / n_points) ** 0.5
    pixels = rng.permutation(np.argwhere(owner >= 0))
    chosen: list[np.ndarray] = []
    for pixel in pixels:
        if all(np.hypot(*(pixel - other)) > apart for other in chosen):
            chosen.append(pixel)
        if len(chosen) == n_points:
            break
    points = []
    for i, (y, x) in enumerate(chosen):
        corners = shape.F[owner[y, x]]
        vertex = int(corners[np.argmin(np.linalg.norm(xy[corners] - [x, y], axis=1))])
        wrong = i % 6 == 5
        points.append(
            {
                "point_id": i,
                "x": float(x),
                "y": float(y),
                "vertex": int(shape.mirror[vertex]) if wrong else vertex,
                "visible": True,
                "score": round(float(rng.uniform(0.3, 0.6) if wrong else rng.uniform(0.6, 0.98)), 3),
                "expected_error": round(
                    float(rng.uniform(0.1, 0.4) if wrong else rng.uniform(0.01, 0.08)), 3
                ),
            }
        )
    return points
