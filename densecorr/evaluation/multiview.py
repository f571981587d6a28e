"""Several views: epipolar distance of matches, and position errors of reconstructed vertices.

Sources: "Semi-supervised dense keypoints using unlabeled multiview images" (Yu et al. 2021), eq. 1 (distance of a
point to its partner's epipolar line) and sec. 4.4 (epipolar error averaged over views and frames, MPVPE, vertex
similarity and masked vertex similarity). Procrustes: Umeyama 1991.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from ..errors import AnnotationError, CameraError, EmptyInstanceError
from ..records import Camera
from ..rendering.cameras import check_camera

Alignment = Literal["none", "root", "procrustes"]


def fundamental_matrix(camera_a: Camera, camera_b: Camera) -> Float[np.ndarray, "3 3"]:
    """F with x_b^T F x_a = 0 for undistorted pixels of one world point, scaled to norm 1.

    Raises:
        CameraError: a camera outside our convention, or two at one place.
    """
    check_camera(camera_a)
    check_camera(camera_b)
    R = camera_b.R @ camera_a.R.T
    t = camera_b.t - R @ camera_a.t
    reach = max(1.0, float(np.linalg.norm(camera_a.t)), float(np.linalg.norm(camera_b.t)))
    if np.linalg.norm(t) <= 1e-9 * reach:
        raise CameraError(
            "two cameras at different places", "one place for both", "Epipolar lines need a baseline."
        )
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    F = np.linalg.inv(camera_b.K).T @ cross @ R @ np.linalg.inv(camera_a.K)
    return F / np.linalg.norm(F)


def undistort_pixels(xy: Float[np.ndarray, "P 2"], camera: Camera) -> Float[np.ndarray, "P 2"]:
    """Where a camera without distortion (same K) would see the points."""
    if not any(camera.distortion) or len(xy) == 0:
        return xy.astype(np.float64)
    import cv2

    plane = (
        np.column_stack([xy, np.ones(len(xy))]) @ np.linalg.inv(camera.K).T
    )  # OpenCV would leave the skew out
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
    distortion, same = np.array(camera.distortion, dtype=np.float64), np.eye(3)
    found = cv2.undistortPointsIter(plane[:, None, :2].copy(), same, distortion, same, same, stop)
    return found.reshape(-1, 2) @ camera.K[:2, :2].T + camera.K[:2, 2]


def epipolar_distances(
    xy_a: Float[np.ndarray, "P 2"], xy_b: Float[np.ndarray, "P 2"], camera_a: Camera, camera_b: Camera
) -> Float[np.ndarray, "P 2"]:
    """Distance of each match's point in A, and of that in B, to the epipolar line of its partner, undistorted pixels.

    The second column is eq. 1 of the source; the mean of both is the symmetric epipolar distance used here. A point at
    the epipole has no line: its partner's distance is then 0.
    """
    a, b = (
        np.column_stack([undistort_pixels(xy, camera), np.ones(len(xy))])
        for xy, camera in ((xy_a, camera_a), (xy_b, camera_b))
    )
    F = fundamental_matrix(camera_a, camera_b)
    in_b, in_a = a @ F.T, b @ F  # lines
    off = np.abs((b * in_b).sum(axis=1))
    lengths = np.stack([np.linalg.norm(in_a[:, :2], axis=1), np.linalg.norm(in_b[:, :2], axis=1)], axis=1)
    return np.divide(off[:, None], lengths, out=np.zeros_like(lengths), where=lengths > 1e-12)


def procrustes(
    X: Float[np.ndarray, "P 3"], Y: Float[np.ndarray, "P 3"]
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """Scale s, rotation R (never a reflection) and shift t for which s R x + t is nearest to y (least squares).

    Raises:
        EmptyInstanceError: fewer than three points, or all at one place.
    """
    if len(X) < 3 or np.ptp(X, axis=0).max() == 0:
        raise EmptyInstanceError(
            "three points at different places to align", f"{len(X)}", "Score without Procrustes alignment."
        )
    mean_x, mean_y = X.mean(axis=0), Y.mean(axis=0)
    U, values, Vt = np.linalg.svd((Y - mean_y).T @ (X - mean_x))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt)) or 1.0])
    R = (U * sign) @ Vt
    scale = float((values * sign).sum() / ((X - mean_x) ** 2).sum())
    return scale, R, mean_y - scale * R @ mean_x


def position_errors(
    predicted: Float[np.ndarray, "_ _ _"],
    true: Float[np.ndarray, "N V 3"],
    align: Alignment = "none",
    root: tuple[int, ...] = (),
) -> Float[np.ndarray, "N V"]:
    """Distance of each vertex from its truth, in the unit of the positions; NaN for a vertex without a position.

    "root" first moves the mean of the root vertices (none named: of all vertices that have a position) of each frame
    onto the true one; "procrustes" fits scale, rotation and shift to the vertices that have a position.

    Raises:
        AnnotationError: other shapes, a truth that is not finite, or a root vertex without a position.
    """
    if predicted.shape != true.shape or true.size == 0:
        raise AnnotationError(
            f"positions of shape {true.shape}, at least one",
            str(predicted.shape),
            "Predict the truth's vertices.",
        )
    if not np.isfinite(true).all():
        raise AnnotationError("finite true positions", "NaN or infinity", "Leave such frames out.")
    errors = np.full(true.shape[:2], np.nan)
    for frame, (X, Y) in enumerate(zip(predicted.astype(np.float64), true.astype(np.float64), strict=True)):
        known = np.isfinite(X).all(axis=1)
        if not known.any():
            continue
        if align == "procrustes":
            scale, R, t = procrustes(X[known], Y[known])
            X = scale * X @ R.T + t
        elif align == "root":
            chosen = np.array(root, dtype=np.int64) if root else np.flatnonzero(known)
            if chosen.max() >= len(X) or chosen.min() < 0 or not known[chosen].all():
                raise AnnotationError(
                    f"root vertices in [0, {len(X)}) that have a position",
                    f"{list(root)} in frame {frame}",
                    "Name vertices that each frame has.",
                )
            X = X + Y[chosen].mean(axis=0) - X[chosen].mean(axis=0)
        errors[frame, known] = np.linalg.norm(X[known] - Y[known], axis=1)
    return errors


def vertex_similarity(
    errors: Float[np.ndarray, "N V"], visible: Bool[np.ndarray, "N V"], kappa: float
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """VS and MVS of each frame (sec. 4.4); kappa in the unit of the errors. NaN for a frame that sees no vertex.

    An error is NaN where no vertex was reconstructed, which adds 0; MVS = sqrt(VS x IoU) of the reconstructed and the
    visible vertices.
    """
    found = np.isfinite(errors)
    value = np.where(found, np.exp(-(np.where(found, errors, 0.0) ** 2) / (2 * kappa**2)), 0.0)
    n_visible, union = visible.sum(axis=1), (visible | found).sum(axis=1)
    nothing = np.full(len(errors), np.nan)
    vs = np.divide((value * visible).sum(axis=1), n_visible, out=nothing.copy(), where=n_visible > 0)
    iou = np.divide((visible & found).sum(axis=1), union, out=nothing, where=union > 0)
    return vs, np.sqrt(vs * iou)
