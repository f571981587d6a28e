"""Images, masks and features that are not as one would like: what pseudo-labelling does, and what it leaves behind."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from densecorr.config import from_jsonable
from densecorr.datasets.world_settings import WorldSettings
from densecorr.errors import EmptyInstanceError, FeatureError, ImageError, SettingsError
from densecorr.features import RunOn, SilhouetteFeatures
from densecorr.features.silhouette import SilhouetteExtractor
from densecorr.images import box_of_silhouette, decode_silhouette, encode_silhouette
from densecorr.pseudolabels import ZeroShotSettings
from densecorr.rendering.cameras import RigSettings
from densecorr.rendering.views import ViewSettings
from densecorr.templates import TemplateSettings
from flows.calibrate import Calibrate
from flows.features import ExtractFeatures
from flows.ingest import Ingest
from flows.pseudo_label import PseudoLabel
from flows.registry import load_stage
from flows.render import Render
from flows.stage import run_stage
from flows.template import TemplateCommand
from flows.world import World
from storage.artifacts import Store
from storage.datasets import read_labels
from storage.shards import finished_shards

N = 5


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@dataclass(frozen=True)
class Bench:
    """A store with a template's features, and a folder of images with annotations to spoil."""

    store: Store
    world: Path
    template: str
    features: str

    def run(self, verb: str, command: object) -> str:
        return run_stage(load_stage(verb), command, self.store, quiet)

    def ingest(self, folder: Path, spoil: Callable[[list[dict[str, Any]]], object] | None = None) -> str:
        """A copy of the images in `folder`, and their annotations after `spoil`, as a data set."""
        if not folder.exists():
            shutil.copytree(self.world, folder)
        data = json.loads((self.world / "annotations.json").read_text())
        if spoil is not None:
            spoil(data["annotations"])
        (folder / "annotations.json").write_text(json.dumps(data))
        return self.run("ingest", Ingest(str(folder / "annotations.json"), str(folder), source="bad"))

    def command(self, dataset: str, **changed: Any) -> PseudoLabel:
        settings = replace(ZeroShotSettings(points=40, crop_size=96), **changed)
        return PseudoLabel(dataset, self.template, self.features, "quadruped", settings=settings)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    store = Store(tmp_path_factory.mktemp("store"))

    def run(verb: str, command: object) -> str:
        return run_stage(load_stage(verb), command, store, quiet)

    settings = WorldSettings(category="quadruped", n_train=N, n_val=0, image_size=96)
    world = run("world", World(settings, workers=1))
    small = TemplateSettings(n_coarse=100, n_eigenpairs=32)
    template = run("template", TemplateCommand("quadruped", "quadruped", settings=small))
    rig = RigSettings(n_azimuths=4, elevations=(10.0,), size=96)
    views = run("render", Render(template, settings=ViewSettings(rig)))
    return Bench(store, store.path(world), template, run("features", ExtractFeatures(template, views)))


def mask_of(row: dict[str, Any]) -> np.ndarray:
    return decode_silhouette(row["segmentation"], 96, 96)


def set_mask(row: dict[str, Any], mask: np.ndarray) -> None:
    row["segmentation"] = encode_silhouette(mask)
    row["area"] = float(mask.sum())


# ---- masks


def test_a_mask_that_is_empty_gives_no_label_and_is_counted(bench: Bench, tmp_path: Path) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        set_mask(rows[0], np.zeros((96, 96), dtype=bool))

    artifact = bench.run("pseudo-label", bench.command(bench.ingest(tmp_path / "data", spoil)))
    summary = json.loads((bench.store.path(artifact) / "summary.json").read_text())
    assert (summary["labelled"], summary["without_silhouette"]) == (N - 1, 1)


def test_masks_at_the_border_and_in_several_parts_are_labelled_all_over(bench: Bench, tmp_path: Path) -> None:
    border, parts = np.zeros((96, 96), dtype=bool), np.zeros((96, 96), dtype=bool)
    border[:, :40] = True  # touches three sides
    parts[10:40, 8:30] = parts[50:90, 60:90] = True

    def spoil(rows: list[dict[str, Any]]) -> None:
        for row, mask in zip(rows, (border, parts), strict=False):
            set_mask(row, mask)
            row["bbox"] = list(box_of_silhouette(mask))

    dataset = bench.ingest(tmp_path / "data", spoil)
    labels = read_labels(bench.store.path(bench.run("pseudo-label", bench.command(dataset, points=0))))
    for index, mask in ((1, border), (2, parts)):
        label = labels[f"bad/{index}"]
        at = np.rint(np.stack([label.y, label.x])).astype(int)
        assert (at >= 0).all()
        assert (at <= 95).all()
        assert mask[at[0], at[1]].mean() > 0.9
        assert (label.vertex >= 0).all()
        assert np.isfinite(label.score).all()
    x = labels["bad/2"].x
    assert (x < 40).any()
    assert (x > 55).any()


# ---- images


def spoil_image(path: Path, kind: str) -> None:
    """Make a file what `kind` says, of the same size where that matters."""
    image = Image.open(path).convert("RGB")
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:700])
    elif kind == "cmyk":
        image.convert("CMYK").save(path, format="TIFF")
    elif kind == "16 bits":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path, format="PNG")
    elif kind == "animated":
        image.save(path, format="GIF", save_all=True, append_images=[image.rotate(90)])


@pytest.mark.parametrize("kind", ["cmyk", "16 bits", "animated"])
def test_unusual_files_are_labelled_like_any_other(bench: Bench, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(bench.world, folder)
    spoil_image(folder / "images/train_000000.png", kind)
    artifact = bench.run("pseudo-label", bench.command(bench.ingest(folder)))
    assert len(read_labels(bench.store.path(artifact))) == N


def shards_of(store: Store) -> list[dict[int, Path]]:
    """The finished shards of every unfinished pseudo-label run."""
    root = Path(store.place.root)
    return [finished_shards(folder) for folder in root.rglob("shards") if finished_shards(folder)]


def test_a_truncated_image_stops_the_run_which_goes_on_once_it_is_replaced(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.pseudo_label.INSTANCES_A_SHARD", 1)
    folder = tmp_path / "data"
    dataset = bench.ingest(folder)
    file = folder / "images/train_000003.png"
    whole = file.read_bytes()
    spoil_image(file, "truncated")
    with pytest.raises(ImageError, match=r"train_000003\.png"):
        bench.run("pseudo-label", bench.command(dataset))
    assert [list(shards) for shards in shards_of(bench.store)] == [[0, 1, 2]]
    file.write_bytes(whole)
    artifact = bench.run("pseudo-label", bench.command(dataset))
    assert len(read_labels(bench.store.path(artifact))) == N
    assert shards_of(bench.store) == []


def test_an_object_of_a_single_pixel_is_labelled(bench: Bench, tmp_path: Path) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        dot = np.zeros((96, 96), dtype=bool)
        dot[50, 50] = True
        set_mask(rows[0], dot)
        rows[0]["bbox"] = [50.0, 50.0, 1.0, 1.0]

    artifact = bench.run("pseudo-label", bench.command(bench.ingest(tmp_path / "data", spoil)))
    label = read_labels(bench.store.path(artifact))["bad/1"]
    assert len(label.vertex) >= 1
    assert np.abs(np.stack([label.x - 50, label.y - 50])).max() <= 1.0


def test_an_image_of_one_pixel_is_labelled(bench: Bench, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (200, 10, 10)).save(tmp_path / "dot.png")
    data = {
        "images": [{"id": 1, "file_name": "dot.png", "width": 1, "height": 1}],
        "categories": [{"id": 1, "name": "quadruped"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [0, 0, 1, 1],
                "area": 1,
                "iscrowd": 0,
                "segmentation": encode_silhouette(np.ones((1, 1), dtype=bool)),
            }
        ],
    }
    (tmp_path / "dot.json").write_text(json.dumps(data))
    dataset = bench.run("ingest", Ingest(str(tmp_path / "dot.json"), str(tmp_path), source="dot"))
    labels = read_labels(bench.store.path(bench.run("pseudo-label", bench.command(dataset))))
    assert (labels["dot/1"].vertex >= 0).all()


# ---- features


def test_features_that_are_not_numbers_stop_the_run_and_leave_finished_shards(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.pseudo_label.INSTANCES_A_SHARD", 1)
    dataset, original = bench.ingest(tmp_path / "data"), SilhouetteExtractor.__call__

    def broken(self: SilhouetteExtractor, images: Any, silhouettes: Any, keys: list[str]) -> Any:
        grid = original(self, images, silhouettes, keys)
        return grid * float("nan") if keys == ["bad/4"] else grid

    monkeypatch.setattr(SilhouetteExtractor, "__call__", broken)
    command = bench.command(dataset, seed=7)
    with pytest.raises(FeatureError, match="bad/4"):
        bench.run("pseudo-label", command)
    assert [list(shards) for shards in shards_of(bench.store)] == [[0, 1, 2]]
    monkeypatch.setattr(SilhouetteExtractor, "__call__", original)
    assert len(read_labels(bench.store.path(bench.run("pseudo-label", command)))) == N


def test_a_crop_that_the_patches_do_not_divide_names_a_size_that_fits(bench: Bench, tmp_path: Path) -> None:
    dataset = bench.ingest(tmp_path / "data")
    with pytest.raises(ImageError, match=r"divisible by 4.*98x98.*such as (?:96|100)"):
        bench.run("pseudo-label", bench.command(dataset, crop_size=98))


def test_views_outside_the_rig_are_a_mistake_in_the_settings(bench: Bench, tmp_path: Path) -> None:
    dataset = bench.ingest(tmp_path / "data")
    with pytest.raises(SettingsError, match="azimuths"):
        bench.run("pseudo-label", bench.command(dataset, azimuths=((40.0, 50.0),)))


# ---- artifacts that do not belong together


def test_features_of_another_template_are_refused(bench: Bench, tmp_path: Path) -> None:
    dataset = bench.ingest(tmp_path / "data")
    small = TemplateSettings(n_coarse=90, n_eigenpairs=32)
    other = bench.run("template", TemplateCommand("quadruped", "quadruped", settings=small))
    with pytest.raises(SettingsError, match="features made from the template"):
        bench.run("pseudo-label", replace(bench.command(dataset), template=other))
    views = bench.store.manifest(bench.features).recipe.inputs["views"]
    with pytest.raises(SettingsError, match="views made from the template"):
        bench.run("features", ExtractFeatures(other, str(views)))


def test_a_calibration_of_other_features_or_labels_of_other_images_are_refused(
    bench: Bench, tmp_path: Path
) -> None:
    dataset = bench.ingest(tmp_path / "data")
    labels = bench.run("pseudo-label", bench.command(dataset, points=0, seed=11))
    calibration = bench.run("calibrate", Calibrate(dataset, labels, bench.template, "quadruped"))
    views = str(bench.store.manifest(bench.features).recipe.inputs["views"])
    other = bench.run(
        "features", ExtractFeatures(bench.template, views, settings=SilhouetteFeatures(n_angles=8))
    )
    command = replace(bench.command(dataset, points=0), calibration=calibration)
    with pytest.raises(SettingsError, match="learnt on labels from the features named here"):
        bench.run("pseudo-label", replace(command, features=other))
    with pytest.raises(SettingsError, match="azimuths"):
        bench.run(
            "pseudo-label", replace(command, settings=replace(command.settings, azimuths=((0.0, 9.0),)))
        )
    moved = bench.ingest(tmp_path / "moved")
    with pytest.raises(SettingsError, match="labels made from the dataset"):
        bench.run("calibrate", Calibrate(moved, labels, bench.template, "quadruped"))
    calibrated = read_labels(bench.store.path(bench.run("pseudo-label", command)))
    assert all(label.expected_error is not None for label in calibrated.values())


# ---- settings


@pytest.mark.parametrize(
    "changed",
    [{"candidates": 0}, {"points": -5}, {"crop_size": 0}, {"margin_radius": -1.0}, {"padding": -0.6}],
)
def test_numbers_that_mean_nothing_are_refused_before_anything_starts(changed: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(changed))):
        from_jsonable(ZeroShotSettings, changed)


@pytest.mark.parametrize("device", ["cuda:9", "mps", "abacus"])
def test_a_device_that_is_not_here_is_named(bench: Bench, device: str, tmp_path: Path) -> None:
    command = replace(bench.command(bench.ingest(tmp_path / "data"), seed=3), run=RunOn(device=device))
    with pytest.raises(SettingsError, match=device):
        bench.run("pseudo-label", command)


def test_a_data_set_without_any_silhouette_names_the_stage_that_makes_them(
    bench: Bench, tmp_path: Path
) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            del row["segmentation"]

    with pytest.raises(EmptyInstanceError, match="silhouettes"):
        bench.run("pseudo-label", bench.command(bench.ingest(tmp_path / "data", spoil)))
