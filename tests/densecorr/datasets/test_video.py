"""Frames come with their own numbers and times."""

from pathlib import Path

import numpy as np
import pytest

from densecorr.datasets.video import read_frames
from densecorr.errors import ImageError
from tests.tiny_videos import write_video


def test_every_frame_is_read_with_its_number_and_time(tmp_path: Path) -> None:
    frames = list(read_frames(write_video(tmp_path / "a.avi", 12, fps=8)))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.seconds for frame in frames] == pytest.approx(np.arange(12) / 8)
    assert {frame.fps for frame in frames} == {8.0}
    assert [round(frame.image[..., 0].mean() / 10) for frame in frames] == list(range(1, 13))
    assert frames[0].image[..., 2].mean() == pytest.approx(200, abs=6)  # red first, blue last


@pytest.mark.parametrize("ending", ["avi", "mp4", "mkv", "mov"])
def test_frames_are_chosen_by_time_or_number(ending: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{ending}", 24, fps=8)
    assert [frame.index for frame in read_frames(path, every_seconds=1.0)] == [0, 8, 16]
    assert [frame.index for frame in read_frames(path, every_seconds=0.3)] == [
        0,
        3,
        5,
        8,
        10,
        12,
        15,
        17,
        20,
        22,
    ]
    assert [frame.index for frame in read_frames(path, every_frames=9)] == [0, 9, 18]
    assert [frame.index for frame in read_frames(path, every_frames=2, max_frames=3)] == [0, 2, 4]


def test_what_is_no_whole_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file at .*none\.mp4"):
        list(read_frames(tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ImageError, match=r"text\.mp4: no frame"):
        list(read_frames(tmp_path / "text.mp4"))
    data = write_video(tmp_path / "a.avi", 40, fps=8).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut\.avi: \d+ of the 40 frames"):
        list(read_frames(tmp_path / "cut.avi", every_frames=10))
