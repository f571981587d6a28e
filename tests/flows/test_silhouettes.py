"""A data set without annotations gets instances; one with boxes gets silhouettes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from densecorr.datasets import CocoSettings
from densecorr.detection import SilhouetteSettings, find
from densecorr.detection.grounding_dino import Detections
from densecorr.errors import EmptyInstanceError, FeatureError, SettingsError
from densecorr.hub import named_models
from densecorr.images import read_image, write_png
from flows.export import Export
from flows.ingest import STAGE as INGEST
from flows.ingest import Ingest
from flows.session import Session
from flows.silhouette_work import moved_root
from flows.silhouettes import STAGE, Silhouettes
from flows.stage import run_stage
from storage.artifacts import Store
from storage.datasets import read_instances
from storage.filesystem import remove_folder
from storage.shards import finished_shards
from storage.tables import read_table
from tests import tiny_detectors

N_IMAGES = 5


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images, the bright square in each of which is the object; image 3 has two, image 4 none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(N_IMAGES):
        image = np.full((48, 60, 3), 40, dtype=np.uint8)
        if index != 4:
            image[10:30, 5 + index : 25 + index] = 250
        if index == 3:
            image[32:46, 30:50] = 250
        write_png(folder / f"{index}.png", image)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


class Bright:
    """Stands for both networks: bright squares are the objects, a square's brightness its score."""

    n_images = 0

    def detect(
        self, image: np.ndarray, prompt: str, box_threshold: float, text_threshold: float
    ) -> Detections:
        self.n_images += 1
        import cv2

        n, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
        xywh = stats[1:n, :4].astype(np.float64)
        score = np.full(n - 1, 0.9)
        kept = score > box_threshold
        return Detections(xywh[kept], score[kept], float(score.max(initial=0.1)))

    def segment(self, image: np.ndarray, xywh: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        for x, y, w, h in np.rint(xywh).astype(int):
            silhouette = np.zeros(image.shape[:2], dtype=bool)
            silhouette[y : y + h, x : x + w] = image[y : y + h, x : x + w, 0] > 128
            yield silhouette, 0.8


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> Bright:
    stub = Bright()

    def load(settings: SilhouetteSettings, device: str = "cpu") -> find.SilhouetteFinder:
        return find.SilhouetteFinder(
            settings, stub.segment, stub.detect if settings.mode == "detect" else None
        )

    monkeypatch.setattr(find, "load_finder", load)
    return stub


def ingest(
    photos: Path, store: Store, annotations: list[dict[str, object]] | None, **settings: object
) -> str:
    images = [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 48} for i in range(N_IMAGES)]
    data: dict[str, object] = {"images": images, "categories": [{"id": 1, "name": "horse"}]}
    if annotations is not None:
        data["annotations"] = annotations
    path = photos.parent / "coco.json"
    path.write_text(json.dumps(data))
    command = Ingest(str(path), str(photos), "mine", CocoSettings(**settings))
    return run_stage(INGEST, command, store, quiet)


def silhouettes(store: Store, dataset: str, category: str = "horse", **settings: object) -> Path:
    command = Silhouettes(dataset, category, SilhouetteSettings(**settings))
    return store.path(run_stage(STAGE, command, store, quiet))


def summary(folder: Path) -> dict[str, object]:
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("annotations", [None, []])
def test_images_without_annotations_get_instances(
    photos: Path, store: Store, bright: Bright, annotations: list[dict[str, object]] | None
) -> None:
    dataset = ingest(photos, store, annotations)
    out = silhouettes(store, dataset)
    items = read_instances(out, "horse")
    assert [item.instance.instance_id for item in items] == [
        "mine/sam/0/0", "mine/sam/1/0", "mine/sam/2/0", "mine/sam/3/0", "mine/sam/3/1",
    ]  # fmt: skip
    for item in items:
        inside = item.silhouette()
        assert (read_image(item.path)[inside] == 250).all()
        assert item.instance.silhouette_source == "grounding_dino+sam"
        assert item.instance.score == 0.9
        assert item.instance.area == inside.sum()
    assert read_table(out / "images.parquet", "images") == read_table(
        store.path(dataset) / "images.parquet", "images"
    )
    facts = summary(out)
    assert (facts["found"], facts["images_with_new"], facts["filled"], facts["prompt"]) == (
        5,
        4,
        0,
        "a horse.",
    )
    assert read_image(out / "overlays.png").shape == (192, 5 * 192, 3)
    assert not (out / "shards").exists()
    n_seen = bright.n_images
    assert silhouettes(store, dataset) == out
    assert bright.n_images == n_seen  # the second run does nothing


def test_a_filter_by_category_leaves_no_image_and_the_error_says_so(
    photos: Path, store: Store, bright: Bright
) -> None:
    dataset = ingest(photos, store, [], categories=("horse",))
    with pytest.raises(EmptyInstanceError, match="empty_images"):
        silhouettes(store, dataset)
    dataset = ingest(photos, store, [], categories=("horse",), empty_images="keep")
    assert summary(silhouettes(store, dataset))["found"] == 5


def test_what_was_there_stays_and_is_not_found_again(photos: Path, store: Store, bright: Bright) -> None:
    square = {"bbox": [5, 10, 20, 20], "area": 400.0, "iscrowd": 0, "category_id": 1, "ours": 7}
    segmentation = {"segmentation": [[8, 10, 28, 10, 28, 30, 8, 30]]}
    dataset = ingest(
        photos,
        store,
        [{"id": 1, "image_id": 0, **square}, {"id": 2, "image_id": 3, **square, **segmentation}],
    )
    before = {item.instance.instance_id: item.instance for item in read_instances(store.path(dataset))}
    filled = silhouettes(store, dataset, mode="missing")
    assert bright.n_images == 0
    after = {item.instance.instance_id: item.instance for item in read_instances(filled)}
    assert list(after) == list(before)
    assert after["mine/2"] == before["mine/2"]
    assert after["mine/1"].silhouette_source == "sam"
    assert replace(after["mine/1"], silhouette=None, silhouette_source=None) == before["mine/1"]
    both = {item.instance.instance_id: item.instance for item in read_instances(silhouettes(store, dataset))}
    assert {name: both[name] for name in after} == after
    assert list(both)[2:] == ["mine/sam/1/0", "mine/sam/2/0", "mine/sam/3/0"]
    assert summary(silhouettes(store, dataset))["dropped"] == {"is a known instance": 2}


def test_nothing_missing_is_no_error_but_an_unknown_category_is(
    photos: Path, store: Store, bright: Bright
) -> None:
    dataset = ingest(photos, store, [])
    with pytest.raises(EmptyInstanceError, match="'detect'"):
        silhouettes(store, dataset, mode="missing")
    whole = silhouettes(store, dataset)
    again = silhouettes(store, whole.name, mode="missing")
    assert read_table(again / "instances.parquet", "instances") == read_table(
        whole / "instances.parquet", "instances"
    )
    assert summary(again)["filled"] == 0


def test_a_second_category_is_numbered_on(photos: Path, store: Store, bright: Bright) -> None:
    horses = silhouettes(store, ingest(photos, store, []))
    cows = silhouettes(store, horses.name, "cow")
    assert [item.instance.instance_id for item in read_instances(cows, "cow")][-2:] == [
        "mine/sam/3/2", "mine/sam/3/3",
    ]  # fmt: skip
    assert len(read_instances(cows, "horse")) == 5


def test_images_inside_an_artifact_are_still_found(store: Store, photos: Path, bright: Bright) -> None:
    def write(out: Path, *_: object) -> None:
        import shutil

        shutil.copytree(photos, out / "pictures")

    from storage.recipe import Recipe

    world = store.ensure(Recipe("world", 1), write)
    ingest(photos, store, [])
    command = Ingest(str(photos.parent / "coco.json"), f"{world}/pictures", "mine", CocoSettings())
    dataset = run_stage(INGEST, command, store, quiet)
    out = silhouettes(store, dataset)
    again = silhouettes(store, out.name, "cow")
    for folder in (out, again):
        (path, *_) = [item.path.resolve() for item in read_instances(folder)]
        assert path == store.path(world).resolve() / "pictures" / "0.png"


def test_a_moved_root_means_the_same_folder(tmp_path: Path) -> None:
    assert moved_root("/data/photos", "a" * 20) == "/data/photos"
    assert moved_root(f"../{'b' * 20}/pictures", "a" * 20) == f"../{'b' * 20}/pictures"
    assert moved_root("pictures", "a" * 20) == f"../{'a' * 20}/pictures"
    assert moved_root("", "a" * 20) == f"../{'a' * 20}"


def test_images_that_cannot_be_used_are_skipped_with_the_reason(
    photos: Path, store: Store, bright: Bright
) -> None:
    dataset = ingest(photos, store, [])
    data = (photos / "1.png").read_bytes()
    (photos / "1.png").write_bytes(data[: len(data) // 2])
    write_png(photos / "2.png", np.zeros((1, 1, 3), dtype=np.uint8))
    facts = summary(silhouettes(store, dataset))
    assert facts["found"] == 3
    assert facts["images_skipped"] == 2
    assert "1.png" in facts["skipped"]["mine/1"]
    assert "1 x 1" in facts["skipped"]["mine/2"]


def test_finding_nothing_at_all_names_the_threshold(photos: Path, store: Store, bright: Bright) -> None:
    dataset = ingest(photos, store, [])
    with pytest.raises(EmptyInstanceError, match=r"box_threshold 0\.95.*0\.90"):
        silhouettes(store, dataset, box_threshold=0.95)


def test_a_stopped_run_goes_on_at_the_first_missing_shard(
    photos: Path, store: Store, bright: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.silhouettes.IMAGES_A_SHARD", 2)
    dataset = ingest(photos, store, [])

    def stop(done: int, total: int | None = None, text: str = "") -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(STAGE, Silhouettes(dataset, "horse"), store, stop)
    assert bright.n_images == 3  # the first shard's two, and one of the second
    out = silhouettes(store, dataset)
    assert bright.n_images == 3 + 3
    monkeypatch.setattr("flows.silhouettes.IMAGES_A_SHARD", 16)
    other = Store(store.place.root + "-other")
    at_once = silhouettes(other, ingest(photos, other, []))
    for name in ("instances.parquet", "summary.json"):
        assert (out / name).read_bytes() == (at_once / name).read_bytes()


def test_found_instances_can_be_exported(photos: Path, store: Store, bright: Bright, tmp_path: Path) -> None:
    out = silhouettes(store, ingest(photos, store, []), "cow")
    target = tmp_path / "back.json"
    Export(out.name, target, silhouettes=True)(Session(str(store.place.root)))
    data = msgspec.json.decode(target.read_bytes())
    assert [category["name"] for category in data["categories"]] == ["horse", "cow"]
    first = data["annotations"][0]
    assert (first["id"], first["bbox"], first["category_id"]) == ("sam/0/0", [5, 10, 20, 20], 2)
    assert first["segmentation"]["size"] == [48, 60]
    again = run_stage(INGEST, Ingest(str(target), str(photos), "mine"), store, quiet)
    back = read_instances(store.path(again), "cow")
    assert back[0].instance.instance_id == "mine/sam/0/0"


def test_the_device_is_no_part_of_the_recipe_and_an_absent_one_is_named(
    photos: Path, store: Store, tmp_path: Path
) -> None:
    on_gpu = Silhouettes("x", "horse", device="cuda:0")
    assert STAGE.uses_gpu is not None
    assert STAGE.uses_gpu(on_gpu)
    assert not STAGE.uses_gpu(Silhouettes("x", "horse"))
    folder = tiny_detectors.write_sam(tmp_path / "sam")
    square = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [5, 10, 20, 20]}
    settings = SilhouetteSettings(mode="missing", segmenter=str(folder))
    with pytest.raises(SettingsError, match="device"):
        run_stage(
            STAGE, Silhouettes(ingest(photos, store, [square]), "horse", settings, "cuda:99"), store, quiet
        )


def test_tiny_networks_run_through_the_stage(photos: Path, store: Store, tmp_path: Path) -> None:
    out = silhouettes(
        store,
        ingest(photos, store, []),
        detector=str(tiny_detectors.write_grounding_dino(tmp_path / "detector")),
        segmenter=str(tiny_detectors.write_sam(tmp_path / "segmenter")),
        box_threshold=0.1,
        min_area=1.0,
    )
    assert summary(out)["images_skipped"] == 0
    for item in read_instances(out, "horse"):
        assert item.silhouette().any()


def test_a_network_that_answers_with_nan_stops_the_run_and_finished_shards_stay(
    photos: Path, store: Store, bright: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.silhouettes.IMAGES_A_SHARD", 2)
    dataset, detect = ingest(photos, store, []), bright.detect

    def overflow(*given: object) -> Detections:
        if bright.n_images == 3:
            raise FeatureError("finite scores", "NaN", "Set precision = 'fp32'.")
        return detect(*given)

    bright.detect = overflow
    with pytest.raises(FeatureError, match="fp32"):
        silhouettes(store, dataset)
    (shards,) = Path(store.place.root).rglob("shards")
    assert list(finished_shards(shards)) == [0]
    bright.detect = detect
    bright.n_images = 0
    assert summary(silhouettes(store, dataset))["found"] == 5
    assert bright.n_images == 3


def test_a_kill_while_the_shards_are_removed_breaks_nothing(
    photos: Path, store: Store, bright: Bright, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = ingest(photos, store, [])

    def stop(folder: Path) -> None:
        if folder.name.endswith("shards"):
            next(folder.rglob("facts.json")).unlink()
            raise KeyboardInterrupt
        remove_folder(folder)

    with monkeypatch.context() as patch:
        patch.setattr("storage.shards.remove_folder", stop)
        with pytest.raises(KeyboardInterrupt):
            silhouettes(store, dataset)
    out = silhouettes(store, dataset)
    assert summary(out)["found"] == 5
    assert {path.name for path in out.iterdir()} >= {"instances.parquet", "overlays.png"}
    assert not list(out.glob("*shards*"))


def test_new_instances_are_numbered_behind_the_highest_in_use(
    photos: Path, store: Store, bright: Bright
) -> None:
    """Number 0 was removed by hand, number 1 is left: the next one is 2."""
    cow = {"id": "sam/0/1", "image_id": 0, "category_id": 2, "bbox": [40, 30, 9, 9]}
    images = [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 48} for i in range(N_IMAGES)]
    categories = [{"id": 1, "name": "horse"}, {"id": 2, "name": "cow"}]
    path = photos.parent / "coco.json"
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": [cow]}))
    dataset = run_stage(INGEST, Ingest(str(path), str(photos), "mine"), store, quiet)
    ids = [item.instance.instance_id for item in read_instances(silhouettes(store, dataset))]
    assert len(set(ids)) == len(ids)
    assert {"mine/sam/0/1", "mine/sam/0/2", "mine/sam/1/0"} <= set(ids)


def test_filling_in_asks_for_no_detector(photos: Path, store: Store, tmp_path: Path) -> None:
    """Neither its licence nor its files: only the segmenter is named."""
    folder = tiny_detectors.write_sam(tmp_path / "sam")
    settings = SilhouetteSettings(mode="missing", detector="nobody/none", segmenter=str(folder))
    assert named_models(Silhouettes("x", "horse", settings)) == (str(folder),)
    square = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [5, 10, 20, 20]}
    command = Silhouettes(ingest(photos, store, [square]), "horse", replace(settings, min_area=1.0))
    out = store.path(run_stage(STAGE, command, store, quiet))
    assert [row["id"] for row in json.loads((out / "models.json").read_text())] == [str(folder)]
