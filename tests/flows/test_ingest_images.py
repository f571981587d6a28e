"""Images without annotations become a data set that other stages can use."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from densecorr.datasets.image_sets import ImageSetSettings
from densecorr.datasets.splits import SplitSettings
from densecorr.detection import find
from densecorr.detection.grounding_dino import Detections
from densecorr.images import read_image, write_png
from flows.ingest_images import STAGE, IngestImages
from flows.silhouettes import STAGE as SILHOUETTES
from flows.silhouettes import Silhouettes
from flows.split import STAGE as SPLIT
from flows.split import Split
from flows.stage import run_stage
from storage.artifacts import Store
from storage.datasets import image_path, read_dataset_info, read_instances
from storage.tables import read_table
from tests.flows.command_line import densecorr
from tests.tiny_videos import write_video


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        write_png(folder / f"{index}.png", np.full((48, 60, 3), 40 * index, dtype=np.uint8))
    return folder


def png_bytes(pixels: np.ndarray) -> bytes:
    stored = BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    return stored.getvalue()


def ingest(place: Path | str, store: Store, **settings: object) -> Path:
    command = IngestImages(str(place), "pets", ImageSetSettings(**settings))
    return store.path(run_stage(STAGE, command, store, quiet))


def test_a_folder_becomes_a_data_set_once(photos: Path, store: Store, capsys: pytest.CaptureFixture) -> None:
    (photos / "copy.png").write_bytes((photos / "2.png").read_bytes())
    out = ingest(photos, store)
    assert "1 duplicates in 1 groups" in capsys.readouterr().err
    assert ingest(photos, store) == out
    images = read_table(out / "images.parquet", "images")
    assert images["image_id"].to_pylist() == [f"pets/{name}.png" for name in (0, 1, 2, 3, "copy")]
    for name in ("instances", "labels", "cameras"):
        assert len(read_table(out / f"{name}.parquet", name)) == 0
    assert pq.read_table(out / "duplicates.parquet")["group"].to_pylist() == [0, 1, 2, 3, 2]
    assert not (out / "quarantine.parquet").exists()
    root = read_dataset_info(out)["image_root"]
    assert (read_image(image_path(out, root, "3.png")) == 120).all()


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector and the segmenter: all that is bright is one object."""

    def detect(image: np.ndarray, prompt: str, box: float, text: float) -> Detections:
        ys, xs = np.nonzero(image[..., 0] > 128)
        box_ = [[xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]] if len(xs) else np.zeros((0, 4))
        return Detections(np.array(box_, dtype=float), np.full(len(box_), 0.9), 0.9)

    def segment(image: np.ndarray, xywh: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        for _ in xywh:
            yield image[..., 0] > 128, 0.8

    monkeypatch.setattr(
        find, "load_finder", lambda s, device="cpu": find.SilhouetteFinder(s, segment, detect)
    )


def test_images_get_silhouettes_then_splits_and_still_resolve(
    tmp_path: Path, store: Store, bright: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENSECORR_IMAGE_CACHE", str(tmp_path / "cache"))
    square = np.zeros((48, 64, 3), dtype=np.uint8)
    square[8:40, 8:40] = 250
    places = tmp_path / "places"
    places.mkdir()
    fsspec.filesystem("memory").pipe_file("/far/a.png", png_bytes(square))
    lines = []
    for index in range(6):
        square[:, 40 + index] = 240
        write_png(places / f"{index}.png", square)
        lines.append(f"{index}.png")
    write_video(places / "a.avi", 24, fps=5)
    (places / "list.txt").write_text("\n".join([*lines, "a.avi", "memory://far/a.png"]))
    first = ingest(places / "list.txt", store, every_frames=7)
    found = store.path(run_stage(SILHOUETTES, Silhouettes(first.name, "cow"), store, quiet))
    settings = SplitSettings({"train": 0.6, "val": 0.4}, group_by=("video",))
    out = store.path(run_stage(SPLIT, Split(found.name, settings), store, quiet))
    items = read_instances(out)
    assert [item.image.frame for item in items if "video" in item.image.extra] == [14, 21]
    for item in items:
        assert (read_image(item.path)[item.silhouette()][:, 0] > 128).all()
    assert [item.path for item in items][-1] == "memory://far/a.png"
    sides = {item.image.split for item in items if "video" in item.image.extra}
    assert len(sides) == 1
    images = read_table(out / "images.parquet", "images")
    before = read_table(first / "images.parquet", "images")
    assert images.drop_columns("split").equals(before.drop_columns("split"))
    for name in ("instances", "labels", "cameras", "duplicates"):
        assert (out / f"{name}.parquet").read_bytes() == (found / f"{name}.parquet").read_bytes()


def test_images_inside_an_artifact_move_with_the_store(photos: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    made = ingest(write_video(tmp_path / "a.avi", 8, fps=5), store, every_frames=4)
    again = ingest(f"{made.name}/frames", store)
    write_video(made / "b.avi", 8, fps=5)  # beside frames/: a mixed folder inside an artifact
    (tmp_path / "store").rename(tmp_path / "moved")
    moved = Store(tmp_path / "moved").path(again.name)
    root = read_dataset_info(moved)["image_root"]
    uris = read_table(moved / "images.parquet", "images")["uri"].to_pylist()
    assert uris == ["a.avi/000000.jpg", "a.avi/000004.jpg"]
    assert read_image(image_path(moved, root, uris[1])).shape == (48, 64, 3)


def test_bad_files_end_with_code_2_or_in_quarantine(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_text("no image")
    arguments = ("--store", "store", "--track", "never", "ingest-images", "--images", "photos")
    refused = densecorr(*arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert "bad.png" in refused.stderr
    assert "on_error" in refused.stderr
    taken = densecorr(*arguments, "--settings.on-error", "skip", "--source", "pets", cwd=tmp_path)
    assert taken.returncode == 0, taken.stderr
    assert "4 images" in taken.stderr
    assert "1 bad files set aside" in taken.stderr
    folder = Store(tmp_path / "store").path(taken.stdout.strip())
    assert pq.read_table(folder / "quarantine.parquet")["id"].to_pylist() == ["bad.png"]


def test_offline_an_unknown_address_ends_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("https://images.example/a.jpg\n")
    arguments = ("--store", "store", "--track", "never", "--offline", "ingest-images")
    refused = densecorr(*arguments, "--images", "list.txt", cwd=tmp_path)
    assert refused.returncode == 2
    assert "https://images.example/a.jpg" in refused.stderr
    assert "--offline" in refused.stderr
    (tmp_path / "list.txt").write_text("https://images.example/a.jpg\t640\t480\n")
    taken = densecorr(*arguments, "--images", "list.txt", cwd=tmp_path)
    assert taken.returncode == 0, taken.stderr
