"""Images of folders, lists and videos as tables."""

import json
from hashlib import sha256
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from densecorr.datasets.image_places import find_places, natural_key
from densecorr.datasets.image_sets import ImageSetSettings, read_image_set
from densecorr.errors import AnnotationError, DatasetNotFoundError, EmptyInstanceError, SettingsError
from densecorr.images import read_image
from tests.tiny_videos import write_video


def pixels(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for seed, name in enumerate(("b10.png", "b2.png", "a/x.JPG", ".hidden.png", ".git/y.png", "notes.md")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".md"):
            (folder / name).write_text("no image")
        else:
            Image.fromarray(pixels(seed)).save(folder / name)
    (folder / "a" / "loop").symlink_to(folder)
    return folder


def column(found: object, name: str) -> list:
    return found.tables.images[name].to_pylist()  # type: ignore[attr-defined]


def test_names_are_in_natural_order() -> None:
    names = ["f10", "f2", "f", "10", "2b", "f2a", "F3", "f02"]
    assert sorted(names, key=natural_key) == ["2b", "10", "F3", "f", "f02", "f2", "f2a", "f10"]


def test_a_folder_is_read_to_the_bottom(photos: Path, tmp_path: Path) -> None:
    found = read_image_set(photos, tmp_path / "out", "pets", ImageSetSettings(licence="CC0-1.0", split="val"))
    assert column(found, "uri") == ["a/x.JPG", "b2.png", "b10.png"]
    assert column(found, "image_id") == ["pets/a/x.JPG", "pets/b2.png", "pets/b10.png"]
    assert column(found, "width") == [32] * 3
    assert column(found, "height") == [24] * 3
    digests = [sha256((photos / name).read_bytes()).hexdigest() for name in column(found, "uri")]
    assert column(found, "sha256") == digests
    assert column(found, "licence") == ["CC0-1.0"] * 3
    assert column(found, "split") == ["val"] * 3
    assert found.tables.info["image_root"] == str(photos)
    assert found.n_left_out == 1
    assert not (tmp_path / "out").exists()


def test_an_image_s_own_notes_are_kept_and_its_size_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x8298] = 6, "A. Person", "2024 A. Person"
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels(0)).save(tmp_path / "in" / "a.jpg", exif=exif)
    found = read_image_set(tmp_path / "in", tmp_path, settings=ImageSetSettings(licence="mine"))
    assert (column(found, "width"), column(found, "height")) == ([24], [32])
    (extra,) = map(json.loads, column(found, "extra"))
    assert extra == {"copyright": "2024 A. Person", "artist": "A. Person"}


def test_frames_are_written_with_their_video_and_time(photos: Path, tmp_path: Path) -> None:
    write_video(photos / "clips.avi", 20, fps=5, size=(48, 32))
    out = tmp_path / "out"
    found = read_image_set(photos, out, settings=ImageSetSettings(every_seconds=2.0, frame_format="png"))
    assert column(found, "uri") == [
        f"{photos}/a/x.JPG",
        f"{photos}/b2.png",
        f"{photos}/b10.png",
        "frames/clips.avi/000000.png",
        "frames/clips.avi/000010.png",
    ]
    assert found.tables.info["image_root"] == ""
    assert column(found, "frame") == [None, None, None, 0, 10]
    assert column(found, "image_id")[-1] == "images/clips.avi/000010"
    assert json.loads(column(found, "extra")[-1]) == {"video": "clips.avi", "fps": 5.0, "seconds": 2.0}
    assert column(found, "sha256")[-1] == sha256((out / column(found, "uri")[-1]).read_bytes()).hexdigest()
    assert read_image(out / "frames/clips.avi/000010.png").shape == (32, 48, 3)
    (video,) = found.tables.info["videos"]
    assert (video["name"], video["frames"], video["fps"]) == ("clips.avi", 2, 5.0)


def test_a_frame_a_second_without_a_setting_and_no_more_than_asked(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 20, fps=5)
    assert column(read_image_set(path, tmp_path / "1"), "frame") == [0, 5, 10, 15]
    few = ImageSetSettings(every_frames=4, max_frames=2)
    assert column(read_image_set(path, tmp_path / "2", settings=few), "frame") == [0, 4]
    assert sorted(file.name for file in (tmp_path / "2").rglob("*.jpg")) == ["000000.jpg", "000004.jpg"]


def test_a_list_names_files_and_addresses(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENSECORR_IMAGE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/set/a.png", (photos / "b2.png").read_bytes())
    absolute, address = str(photos / "b2.png"), (photos / "a" / "x.JPG").as_uri()
    lines = ["# ours", "b10.png", "", absolute, address, "memory://set/a.png", "s3://far/b.png\t640\t480"]
    (photos / "list.txt").write_text("\n".join(lines))
    found = read_image_set(photos / "list.txt", tmp_path / "out")
    assert column(found, "uri") == ["b10.png", absolute, address, "memory://set/a.png", "s3://far/b.png"]
    assert column(found, "width") == [32, 32, 32, 32, 640]
    assert [value is None for value in column(found, "sha256")] == [False] * 3 + [True] * 2
    assert not (tmp_path / "cache").exists()
    memory.store.clear()


def test_duplicates_are_found(photos: Path, tmp_path: Path) -> None:
    coarse = Image.fromarray(pixels(1, 6, 8)).resize((160, 120), Image.Resampling.BICUBIC)
    coarse.save(photos / "c1.png")
    coarse.save(photos / "c2.jpg", quality=50)
    (photos / "d.png").write_bytes((photos / "b2.png").read_bytes())
    near = read_image_set(photos, tmp_path)
    assert near.groups == [["images/b2.png", "images/d.png"], ["images/c1.png", "images/c2.jpg"]]
    assert near.duplicates["image_id"].to_pylist() == column(near, "image_id")
    exact = read_image_set(photos, tmp_path, settings=ImageSetSettings(duplicates="exact"))
    assert exact.groups == [["images/b2.png", "images/d.png"]]
    assert exact.duplicates["phash"].null_count == len(exact.duplicates)


def test_bad_files_are_refused_or_set_aside(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes((photos / "b2.png").read_bytes()[:200])
    (photos / "text.mp4").write_text("no video")
    with pytest.raises(AnnotationError, match=r"broken\.png.*on_error to 'skip'"):
        read_image_set(photos, tmp_path / "out")
    found = read_image_set(photos, tmp_path / "out", settings=ImageSetSettings(on_error="skip"))
    assert len(found.tables.images) == 3
    assert found.tables.quarantine["id"].to_pylist() == ["broken.png", "text.mp4"]
    assert "no frame" in found.tables.quarantine["reason"][1].as_py()
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_a_bad_list_is_refused(photos: Path, tmp_path: Path) -> None:
    path = photos / "list.txt"
    for text, message in [
        ("b2.png\nb2.png\n", "b2.png again"),
        ("b2.png\t31\t24\n", "31 x 24 as the list says"),
        ("b2.png\t640\n", "in line 1"),
        ("none.png\n", r"no file at .*none\.png"),
    ]:
        path.write_text(text)
        with pytest.raises(AnnotationError, match=message):
            read_image_set(path, tmp_path)
    path.write_text("# nothing\n")
    with pytest.raises(EmptyInstanceError, match=r"list\.txt; received none"):
        read_image_set(path, tmp_path)
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(AnnotationError, match="UTF-8"):
        find_places(path)


def test_what_is_no_place_for_images_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        find_places(tmp_path / "nowhere")
    with pytest.raises(AnnotationError, match=r"notes\.md"):
        find_places(photos / "notes.md")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyInstanceError, match="empty"):
        find_places(tmp_path / "empty")
    with pytest.raises(SettingsError, match="without '/'"):
        read_image_set(photos, tmp_path, "a/b")


@pytest.mark.parametrize(
    "wrong",
    [
        {"every_seconds": 1.0, "every_frames": 2},
        {"every_seconds": 0.0},
        {"every_frames": 0},
        {"max_frames": 0},
        {"duplicate_threshold": 32},
    ],
)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=r"every_|max_frames|0 to 31"):
        ImageSetSettings(**wrong)
