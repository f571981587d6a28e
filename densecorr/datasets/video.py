"""Frames of video files, chosen by time or by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ..errors import ImageError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
LEAST_SHARE = 0.9  # of the frames that a file announces; containers that estimate the number are a little off


@dataclass(frozen=True)
class VideoFrame:
    """One frame: its number in the video from 0, its time in seconds, its pixels, and the video's frame rate."""

    index: int
    seconds: float
    fps: float
    image: UInt8[np.ndarray, "H W 3"]


def read_frames(
    path: Path | str,
    every_seconds: float | None = None,
    every_frames: int | None = None,
    max_frames: int | None = None,
) -> Iterator[VideoFrame]:
    """The frames of a video in order: the first, then one each `every_seconds` or `every_frames`; else all.

    Times are the container's, so that a video of changing frame rate is sampled evenly in time; where it has none,
    they are number / fps. The rotation that a phone notes is applied.

    Args:
        path: a file that OpenCV's FFmpeg decodes.
        every_seconds: take the first frame at or after each multiple of so many seconds.
        every_frames: take frames 0, n, 2n, ...
        max_frames: stop after so many taken frames.

    Raises:
        ImageError: no such file, not a video, or one that ends before nine tenths of the frames it announces.
    """
    import cv2

    if not Path(path).is_file():
        raise ImageError("a video file", f"no file at {path}", "Check the folder of videos.")
    video = cv2.VideoCapture(str(path))
    try:
        fps, announced = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        index, taken = 0, 0
        while max_frames is None or taken < max_frames:
            if not video.grab():
                _check_whole(path, index, announced)
                return
            seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index and seconds <= 0:
                seconds = index / fps if fps > 0 else 0.0
            if _is_due(index, seconds, taken, every_seconds, every_frames):
                whole, bgr = video.retrieve()
                if not whole:
                    raise _broken(path, f"frame {index} cannot be decoded")
                yield VideoFrame(index, seconds, fps, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
                taken += 1
            index += 1
    finally:
        video.release()


def _is_due(
    index: int, seconds: float, taken: int, every_seconds: float | None, every_frames: int | None
) -> bool:
    if every_seconds is not None:
        return seconds >= taken * every_seconds - 1e-6
    return index % (every_frames or 1) == 0


def _check_whole(path: Path | str, n_read: int, announced: int) -> None:
    if n_read == 0:
        raise _broken(path, "no frame in it")
    if n_read < LEAST_SHARE * announced:
        raise _broken(path, f"{n_read} of the {announced} frames it announces")


def _broken(path: Path | str, received: str) -> ImageError:
    return ImageError(
        "a whole video that OpenCV can decode",
        f"{path}: {received}",
        "Get the file again, or convert it to H.264 in mp4.",
    )
