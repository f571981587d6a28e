"""Images of a template become an ordinary data set, whole or not at all, and say what was dropped."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from densecorr.errors import ArtifactError, ImageError, SettingsError
from densecorr.images import read_image, write_png
from densecorr.pseudolabels import LabelFilter
from densecorr.rendering.cameras import project_points
from densecorr.synthesis import ControlNetGenerator, Gate, ProceduralGenerator, Viewpoints, procedural
from densecorr.templates import TemplateSettings, read_template
from flows.labelled import labelled_instances
from flows.registry import load_stage
from flows.stage import resolve_inputs, run_stage
from flows.synthesise import STAGE, Synthesise
from flows.template import TemplateCommand
from storage.artifacts import Store
from storage.datasets import read_instances, read_labels
from storage.rows import table_to_cameras
from storage.shards import finished_shards
from storage.tables import read_table
from tests import tiny_synthesis

FRONT = Viewpoints(((-10.0, 10.0),), (0.0, 10.0))
Make = Callable[..., Path]


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.synthetic_images.SAMPLE_SIDE", 64)


@pytest.fixture(scope="module")
def template_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    store = Store(tmp_path_factory.mktemp("store"))
    command = TemplateCommand(
        "quadruped", "quadruped", settings=TemplateSettings(n_coarse=100, n_eigenpairs=16)
    )
    return store, run_stage(load_stage("template"), command, store, quiet)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ControlNetGenerator:
    return tiny_synthesis.write_generator(tmp_path_factory.mktemp("models"))


@pytest.fixture
def store(template_store: tuple[Store, str], tmp_path: Path) -> Store:
    """A store of its own with the template in it."""
    made, template = template_store
    fresh = Store(tmp_path / "store")
    target = tmp_path / "store" / "artifacts" / template
    shutil.copytree(made.path(template), target)
    return fresh


@pytest.fixture
def command(template_store: tuple[Store, str]) -> Synthesise:
    generator = ProceduralGenerator(size=64, viewpoints=FRONT)
    return Synthesise(template_store[1], "quadruped", images=5, points=40, generator=generator)


def make(store: Store, command: Synthesise) -> Path:
    return store.path(run_stage(STAGE, command, store, quiet))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def test_images_become_a_data_set_with_exact_labels_once(store: Store, command: Synthesise) -> None:
    out = make(store, command)
    assert make(store, command) == out
    template = read_template(store.path(command.template))
    cameras = table_to_cameras(read_table(out / "cameras.parquet", "cameras"))
    items, labels = read_instances(out, "quadruped", "train"), read_labels(out, ("synthetic",))
    assert [item.instance.instance_id for item in items] == [
        f"synthetic/quadruped-00000{k}" for k in range(5)
    ]
    for item in items:
        label, silhouette = labels[item.instance.instance_id], item.silhouette()
        assert silhouette is not None
        assert read_image(item.path).shape == (64, 64, 3)
        assert item.instance.silhouette_source == "projection"
        assert item.instance.area == silhouette.sum()
        assert len(label.vertex) == 40
        x, y = label.x.astype(int), label.y.astype(int)
        assert silhouette[y, x].all()
        seen = project_points(template.V[label.vertex], cameras[item.image.camera_id or ""])[0]
        assert np.abs(seen - np.stack([x, y], axis=1)).max() < 3  # the vertex nearest the pixel's point
        assert item.image.extra["view"] == "front"
    x = np.concatenate([labels[i.instance.instance_id].x - np.mean(i.instance.xywh[0::2]) for i in items])
    left = np.concatenate([template.V[labels[i.instance.instance_id].vertex, 0] for i in items])
    assert np.corrcoef(x, left)[0, 1] > 0.5  # what is left on the animal is at the right in a frontal image


def test_training_reads_it_as_any_data_set(store: Store, command: Synthesise) -> None:
    out, template = make(store, command), read_template(store.path(command.template))
    chosen = list(labelled_instances(out, None, template, "quadruped", None, LabelFilter()))
    assert len(chosen) == 5
    assert all((instance.weight == 1).all() and len(instance.vertex) == 40 for instance in chosen)
    assert max(instance.vertex.max() for instance in chosen) < len(template.coarse)


def test_summary_pictures_and_attempts_tell_what_was_made(store: Store, command: Synthesise) -> None:
    out = make(store, command)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["asked"], summary["kept"], summary["dropped"], summary["points"]) == (5, 5, 0, 200)
    assert len(pq.read_table(out / "attempts.parquet")) == 5
    assert read_image(out / "samples.png").std() > 0
    assert not (out / "dropped.png").exists()
    assert {path.name for path in out.iterdir()} == {
        "attempts.parquet", "cameras.parquet", "dataset.json", "images", "images.parquet", "instances.parquet",
        "labels.parquet", "manifest.json", "samples.png", "summary.json",
    }  # fmt: skip


class Interrupted(KeyboardInterrupt):
    """A stop in the middle."""


@pytest.mark.parametrize("kind", ["procedural", "controlnet"])
def test_a_stopped_run_goes_on_with_the_same_bytes(
    store: Store,
    command: Synthesise,
    tiny: ControlNetGenerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr("flows.synthesise.IMAGES_A_SHARD", 2)
    if kind == "controlnet":
        command = replace(command, generator=replace(tiny, batch_size=2))
    other = Store(tmp_path / "other")
    shutil.copytree(store.path(command.template), tmp_path / "other" / "artifacts" / command.template)
    whole = make(other, command)

    def stop(done: int, total: int | None = None, text: str = "") -> None:
        if done >= 3 + (
            kind == "controlnet"
        ):  # procedural images are reported one by one, others by the batch
            raise Interrupted

    with pytest.raises(Interrupted):
        run_stage(STAGE, command, store, stop)
    (draft,) = (tmp_path / "store").rglob("shards")
    assert list(finished_shards(draft)) == [0] if kind == "procedural" else [0, 1]
    seen: list[int] = []
    made = run_stage(STAGE, command, store, lambda done, *_: seen.append(done))
    assert min(seen) >= 2  # the first shard was not drawn again
    assert files_of(store.path(made)) == files_of(whole)


def test_a_stop_while_shards_are_joined_costs_nothing(
    store: Store, command: Synthesise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store(tmp_path / "other")
    shutil.copytree(store.path(command.template), tmp_path / "other" / "artifacts" / command.template)
    whole = make(other, command)
    with monkeypatch.context() as patch:

        def stop(*given: object) -> None:
            raise Interrupted

        patch.setattr("flows.synthetic_images.summarise", stop)
        with pytest.raises(Interrupted):
            make(store, command)
    seen: list[int] = []
    made = run_stage(STAGE, command, store, lambda done, *_: seen.append(done))
    assert seen == []  # nothing was drawn again
    assert files_of(store.path(made)) == files_of(whole)


def test_more_images_begin_with_the_same_ones(store: Store, command: Synthesise) -> None:
    few, many = files_of(make(store, command)), files_of(make(store, replace(command, images=7)))
    names = [name for name in few if name.startswith("images/")]
    assert len(names) == 5
    assert all(few[name] == many[name] for name in names)


def test_device_and_offloading_do_not_change_the_recipe(store: Store, command: Synthesise) -> None:
    assert make(store, command) == make(store, replace(command, device="cuda", offload=True))
    assert not STAGE.uses_gpu(replace(command, device="cuda"))
    assert STAGE.uses_gpu(replace(command, device="cuda:1", generator=ControlNetGenerator()))
    assert not STAGE.uses_gpu(replace(command, generator=ControlNetGenerator()))


def test_photographs_enter_the_recipe_by_content(store: Store, command: Synthesise, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        write_png(
            tmp_path / name / "red.png", np.full((64, 64, 3), [250, 5, ord(name) // 99], dtype=np.uint8)
        )
    a, b, c = (make(store, replace(command, backgrounds=str(tmp_path / name))) for name in ("a", "b", "c"))
    assert a == b != c
    assert {item.image.extra["background"] for item in read_instances(a)} == {"red.png"}


def test_an_empty_background_file_is_named(store: Store, command: Synthesise, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg"):
        make(store, replace(command, backgrounds=str(tmp_path / "photos")))


def test_a_controlnet_data_set_keeps_prompt_seed_and_figures(
    store: Store, command: Synthesise, tiny: ControlNetGenerator
) -> None:
    out = make(store, replace(command, images=3, generator=replace(tiny, viewpoints=FRONT)))
    for item in read_instances(out):
        extra = item.image.extra
        assert extra["prompt"] == "a photo of a quadruped, front view"
        assert extra["seed"] >= 0
        assert extra["reason"] == ""
        assert -1 <= extra["depth_agreement"] <= 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["safety_checker"] is False
    assert -1 <= summary["median_depth_agreement"] <= 1
    assert 0 <= summary["median_silhouette_iou"] <= 1


def test_dropped_images_are_counted_and_shown(
    store: Store, command: Synthesise, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_part = procedural.hide_part

    def hide_some(image: np.ndarray, silhouette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hidden = hide_part(image, silhouette, rng)
        return np.ones_like(hidden) if rng.random() < 0.5 else hidden

    monkeypatch.setattr(procedural, "hide_part", hide_some)
    out = make(store, replace(command, images=12))
    summary, attempts = (
        json.loads((out / "summary.json").read_text()),
        pq.read_table(out / "attempts.parquet"),
    )
    kept = [row["index"] for row in attempts.to_pylist() if row["kept"]]
    assert 0 < len(kept) < 12
    assert summary["reasons"] == {"nothing visible": 12 - len(kept)}
    assert [item.image.extra["index"] for item in read_instances(out)] == kept
    assert {int(path.stem) for path in (out / "images").iterdir()} == set(kept)
    assert read_image(out / "dropped.png").std() > 0


def test_when_nothing_is_kept_the_error_says_so_and_soon(
    store: Store, command: Synthesise, tiny: ControlNetGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.synthesise.IMAGES_A_SHARD", 2)
    monkeypatch.setattr("flows.synthesise.GIVE_UP_AFTER", 4)
    never = replace(tiny, gate=Gate(min_depth_agreement=1.0))
    seen: list[int] = []
    with pytest.raises(
        SettingsError, match=r"none of 4 \(4 x depth differs; best depth_agreement .*generator\.gate"
    ):
        run_stage(
            STAGE, replace(command, images=50, generator=never), store, lambda done, *_: seen.append(done)
        )
    assert max(seen) == 3
    assert len(store.list()) == 1  # the template


def test_whether_any_image_is_kept_is_looked_at_once(
    store: Store, command: Synthesise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.synthesise.IMAGES_A_SHARD", 1)
    monkeypatch.setattr("flows.synthesise.GIVE_UP_AFTER", 2)
    looked: list[int] = []
    monkeypatch.setattr(
        "flows.synthetic_images.check_some_kept", lambda shards: looked.append(len(finished_shards(shards)))
    )
    make(store, command)
    assert looked == [2]


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"images": 0}, "images"), ({"points": 0}, "points"), ({"category": " "}, "category")],
)
def test_commands_that_make_nothing_are_refused(
    store: Store, command: Synthesise, changed: dict, named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        make(store, replace(command, **changed))


def test_the_disk_needed_is_about_what_is_used(store: Store, command: Synthesise) -> None:
    assert STAGE.estimate_bytes is not None
    large = replace(command, images=20, generator=replace(command.generator, size=160))
    estimate = STAGE.estimate_bytes(large, resolve_inputs(large, store))
    used = sum(
        len(content) for name, content in files_of(make(store, large)).items() if name != "samples.png"
    )
    assert 0.7 * used < estimate < 1.4 * used


def test_an_absent_template_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="horse-v7"):
        make(Store(tmp_path), Synthesise("horse-v7", "horse"))
