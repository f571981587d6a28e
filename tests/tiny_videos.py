"""Videos of a few frames, each of one colour that says its number."""

from pathlib import Path

import cv2
import numpy as np

CODECS = {".avi": "MJPG", ".mp4": "mp4v", ".mov": "mp4v", ".mkv": "MJPG"}


def write_video(path: Path, n_frames: int, fps: float, size: tuple[int, int] = (64, 48)) -> Path:
    """Frame k is red 10 (k + 1) modulo 256, blue 200; `size` is width, height."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODECS[path.suffix]), fps, size)
    assert writer.isOpened()
    for index in range(n_frames):
        writer.write(np.full((size[1], size[0], 3), (200, 0, 10 * (index + 1) % 256), dtype=np.uint8))
    writer.release()
    return path
