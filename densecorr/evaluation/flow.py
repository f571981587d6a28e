"""Dense correspondence fields: end-point error and PCK of flow, and the files that hold flow.

A flow (H, W, 2) says for each pixel of image A how far (x, y) its partner in image B lies from it, in pixels.
NaN stands for "not known" in a truth and for "no answer" in a prediction.

Sources: HumanGPS (Tan et al. 2021), sec. 4.2, for the average end-point error of non-occluded and of all pixels;
Taniai et al. 2016 for the flow accuracy of TSS: the share of foreground pixels within 5 px once the longer side is 100.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32

from ..errors import AnnotationError, DatasetNotFoundError

FLO_TAG = 202021.25  # the first four bytes of a .flo file, as a float
UNKNOWN = 1e9  # Middlebury: a component above this is unknown


def end_point_errors(
    predicted: Float[np.ndarray, "H W 2"], true: Float[np.ndarray, "H W 2"]
) -> Float[np.ndarray, "H W"]:
    """Distance between predicted and true end points, pixels; inf without an answer, NaN where the truth is unknown."""
    error = np.linalg.norm(predicted.astype(np.float64) - true.astype(np.float64), axis=2)
    error[~np.isfinite(predicted).all(axis=2)] = np.inf
    error[~np.isfinite(true).all(axis=2)] = np.nan
    return error


def flow_correct(
    predicted: Float[np.ndarray, "H W 2"],
    true: Float[np.ndarray, "H W 2"],
    foreground: Bool[np.ndarray, "H W"],
    alpha: float,
) -> tuple[int, int]:
    """How many known foreground pixels end within alpha times the field's longer side of the truth, and of how many.

    The threshold itself is correct; a pixel without an answer is not.
    """
    error = end_point_errors(predicted, true)[foreground]
    error = error[~np.isnan(error)]
    return int((error <= alpha * max(true.shape[:2])).sum()), len(error)


def summed_end_point_error(
    predicted: Float[np.ndarray, "H W 2"], true: Float[np.ndarray, "H W 2"], counted: Bool[np.ndarray, "H W"]
) -> tuple[float, int]:
    """The sum of end-point errors over the counted pixels whose truth is known, and how many those are.

    Raises:
        AnnotationError: a counted pixel has no answer: a mean has no place for it.
    """
    error = end_point_errors(predicted, true)[counted]
    error = error[~np.isnan(error)]
    if np.isinf(error).any():
        raise AnnotationError(
            "a predicted flow at each scored pixel",
            f"NaN or infinity at {int(np.isinf(error).sum())} of {len(error)}",
            "Give every foreground pixel its best guess, or score with flow-pck, where none counts as wrong.",
        )
    return float(error.sum()), len(error)


def read_flow(path: Path) -> tuple[Float32[np.ndarray, "H W 2"], dict[str, Bool[np.ndarray, "H W"]]]:
    """A flow file and the masks that lie in it (`foreground`, `occluded`; .npz only).

    Formats: Middlebury .flo, .npy of shape (H, W, 2), .npz with the array `flow`.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: another form.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"a flow file at {path}", "no such file", "Check the path.")
    if path.suffix.lower() == ".flo":
        return read_flo(path), {}
    masks: dict[str, np.ndarray] = {}
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                flow = arrays["flow"]
                masks = {name: arrays[name] for name in ("foreground", "occluded") if name in arrays}
        else:
            flow = np.load(path, allow_pickle=False)
    except (OSError, ValueError, KeyError) as error:
        raise AnnotationError(
            "a .flo, .npy or .npz (array `flow`) file", f"{path} ({error})", "Correct it."
        ) from error
    if flow.ndim != 3 or flow.shape[2] != 2 or flow.dtype.kind != "f" or flow.size == 0:
        raise AnnotationError(
            "flow of shape (H, W, 2), floating point",
            f"{flow.dtype} of shape {flow.shape} in {path}",
            "Save x and y displacements in pixels along the last axis.",
        )
    for name, mask in masks.items():
        if mask.shape != flow.shape[:2] or mask.dtype != bool:
            raise AnnotationError(
                f"`{name}` as bool of shape {flow.shape[:2]}",
                f"{mask.dtype} of shape {mask.shape} in {path}",
                "Give each pixel of the flow one value.",
            )
    return flow.astype(np.float32), masks


def read_flo(path: Path) -> Float32[np.ndarray, "H W 2"]:
    """A Middlebury .flo file; components above 1e9 are unknown there and NaN here.

    Raises:
        AnnotationError: another tag, or fewer or more numbers than its size says.
    """
    data = path.read_bytes()
    head = np.frombuffer(data[:12].ljust(12, b"\0"), dtype="<i4")
    if len(data) < 12 or float(head[:1].view("<f4")[0]) != FLO_TAG:
        raise AnnotationError(
            "a Middlebury .flo file", f"another beginning in {path}", "Write it with write_flo."
        )
    width, height = int(head[1]), int(head[2])
    if width < 1 or height < 1 or len(data) != 12 + 8 * width * height:
        raise AnnotationError(
            f"{12 + 8 * width * height} bytes for {width} x {height} pixels",
            f"{len(data)} in {path}",
            "The file is cut short or damaged; get it again.",
        )
    flow = np.frombuffer(data[12:], dtype="<f4").reshape(height, width, 2).astype(np.float32)
    flow[(np.abs(flow) > UNKNOWN).any(axis=2)] = np.nan
    return flow


def write_flo(path: Path, flow: Float[np.ndarray, "H W 2"]) -> None:
    """Write a Middlebury .flo file; NaN becomes its mark for unknown, 1e10."""
    height, width = flow.shape[:2]
    known = np.where(np.isfinite(flow).all(axis=2, keepdims=True), flow, 10 * UNKNOWN)
    head = np.array([FLO_TAG], dtype="<f4").tobytes() + np.array([width, height], dtype="<i4").tobytes()
    path.write_bytes(head + known.astype("<f4").tobytes())
