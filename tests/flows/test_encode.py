"""Encoding, training a decoder on it, predicting and scoring with it, on a tiny world and a tiny DINOv2."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file

from densecorr.datasets.world_settings import WorldSettings
from densecorr.errors import DependencyError, FeatureError, SettingsError, TrainingError
from densecorr.features import DinoV2Features, RunOn, SilhouetteFeatures
from densecorr.images import read_image
from densecorr.models import CseModelSettings, DecoderBackbone, load_predictor
from densecorr.synthesis import ProceduralGenerator
from densecorr.templates import TemplateSettings, read_template
from densecorr.training import EncodeSettings, TrainSettings
from flows import cli
from flows.encode import Encode, estimate_bytes
from flows.evaluate import Evaluate
from flows.ingest import Ingest
from flows.labelled import training_level
from flows.predict import Predict
from flows.presets import take_preset
from flows.registry import load_stage
from flows.reporting import collapse_notes
from flows.session import Session
from flows.stage import resolve_inputs, run_stage
from flows.synthesise import Synthesise
from flows.template import TemplateCommand
from flows.train import Train, count_processes
from flows.world import World
from storage.artifacts import Store
from storage.datasets import read_instances
from tests import tiny_models

DECODER = CseModelSettings(
    embedding=4, n_eigenfunctions=16, backbone=DecoderBackbone(widths=(8, 8), upsample=2)
)
SHORT = TrainSettings(
    steps=4, batch_size=3, synthetic_batch=2, checkpoint_every=2, precision="fp32", model=DECODER
)


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A world of five training images, synthetic ones, both encoded by a tiny DINOv2, and a decoder trained on them."""
    root = tmp_path_factory.mktemp("encode")
    store = Store(root / "store")

    def run(verb: str, command: object) -> str:
        return run_stage(load_stage(verb), command, store, quiet)

    world = run("world", World(WorldSettings(category="quadruped", n_train=5, n_val=2), workers=1))
    ids = SimpleNamespace(root=root, store=store, run=run, world=world)
    ids.dataset = run("ingest", Ingest(f"{world}/annotations.json", world))
    small = TemplateSettings(n_coarse=100, n_eigenpairs=16)
    ids.template = run("template", TemplateCommand("quadruped", "quadruped", settings=small))
    generator = ProceduralGenerator(size=64)
    ids.synthetic = run(
        "synthesise", Synthesise(ids.template, "quadruped", images=3, points=30, generator=generator)
    )
    ids.model_folder = tiny_models.write_dinov2(root / "dinov2")
    features = DinoV2Features(model=str(ids.model_folder))
    ids.settings = EncodeSettings(features=features, crop_size=56, variants=2)
    ids.encode = Encode(ids.dataset, "quadruped", "train", ids.settings)
    ids.encoded = run("encode", ids.encode)
    ids.encoded_synthetic = run("encode", Encode(ids.synthetic, "quadruped", settings=ids.settings))
    shared = {"dataset": ids.dataset, "template": ids.template, "category": "quadruped"}
    ids.train = Train(
        split="train", synthetic=ids.synthetic, encoded=ids.encoded, encoded_synthetic=ids.encoded_synthetic,
        settings=SHORT, **shared,
    )  # fmt: skip
    ids.model = run("train", ids.train)
    ids.evaluate = Evaluate(split="val", models=(ids.model,), **shared)
    return ids


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


# ---- encode


def test_the_crops_of_one_split_are_encoded_and_other_labels_reuse_them(made: SimpleNamespace) -> None:
    folder = made.store.path(made.encoded)
    info = json.loads((folder / "encode.json").read_text())
    items = read_instances(made.store.path(made.dataset), "quadruped", "train")
    assert info["instances"] == [item.instance.instance_id for item in items]
    shard = load_file(folder / "shards" / "shard-00000.safetensors")
    assert shard["features"].shape == (5, 2, 2, 32, 4, 4)
    assert shard["known"].all()
    assert made.run("encode", made.encode) == made.encoded


def test_a_stopped_encoding_goes_on_to_the_same_bytes(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.encode.INSTANCES_A_SHARD", 2)
    stage, inputs = load_stage("encode"), resolve_inputs(made.encode, made.store)

    def stop(done: int, total: int | None = None, text: str = "") -> None:
        if done == 3:
            raise KeyboardInterrupt

    for name in ("straight", "broken"):
        (tmp_path / name).mkdir()
    stage.write(tmp_path / "straight", inputs, made.encode, quiet)
    with pytest.raises(KeyboardInterrupt):
        stage.write(tmp_path / "broken", inputs, made.encode, stop)
    assert not (tmp_path / "broken" / "encode.json").exists()
    seen: list[int] = []
    stage.write(tmp_path / "broken", inputs, made.encode, lambda done, *_: seen.append(done))
    assert seen == [2, 3, 4]  # the first shard was there
    assert all_bytes(tmp_path / "broken") == all_bytes(tmp_path / "straight")


def test_the_disk_is_foretold(made: SimpleNamespace) -> None:
    base = replace(made.encode, settings=replace(made.settings, crop_size=336))
    expected = 5 * 2 * 2 * 24 * 24 * 768 * 2
    assert estimate_bytes(base, resolve_inputs(base, made.store)) == expected


def test_a_crop_that_the_cells_do_not_fill_is_refused(made: SimpleNamespace) -> None:
    with pytest.raises(SettingsError, match="stride, 14"):
        made.run("encode", replace(made.encode, settings=replace(made.settings, crop_size=60)))


# ---- train


def test_labels_that_the_encoding_lacks_name_the_remedy(made: SimpleNamespace) -> None:
    with pytest.raises(TrainingError, match="same data set and split"):
        made.run("train", replace(made.train, split="val"))


def test_synthetic_images_must_be_encoded_too(made: SimpleNamespace) -> None:
    with pytest.raises(SettingsError, match="encoded_synthetic"):
        made.run("train", replace(made.train, encoded_synthetic=None))


def test_the_model_knows_its_encoder(made: SimpleNamespace) -> None:
    model = json.loads((made.store.path(made.model) / "config.json").read_text())["train"]["model"]
    assert model["backbone"]["encoder"]["model"] == str(made.model_folder)
    assert model["crop_size"] == 56


def test_the_sides_of_a_template_are_left_and_right(made: SimpleNamespace) -> None:
    template = read_template(made.store.path(made.template))
    level, _ = training_level(template, 16)
    assert level.symmetric
    x = template.V[template.coarse][:, 0]
    assert (np.sign(x[level.side != 0]) == level.side[level.side != 0]).all()
    assert (level.side[level.mirror] == -level.side).mean() > 0.95


# ---- predict and evaluate


def test_a_decoder_predicts_from_an_image(made: SimpleNamespace) -> None:
    item = read_instances(made.store.path(made.dataset), "quadruped", "val")[0]
    model = load_predictor(made.store.path(made.model))
    assert not model.needs_silhouettes
    prediction = model.predict(read_image(item.path), item.instance.xywh, item.silhouette())
    assert prediction.vertices.max() < len(read_template(made.store.path(made.template)).V)
    assert (prediction.vertices >= 0).any()
    assert 0 <= model.predict(read_image(item.path), item.instance.xywh).score <= 1


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nobody/none", DependencyError, "densecorr models fetch nobody/none"),
        ("/gone", SettingsError, "/gone"),
    ],
)
def test_an_encoder_that_is_gone_is_missed_when_it_is_needed(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type, words: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "model"
    shutil.copytree(made.store.path(made.model), folder)
    config = json.loads((folder / "config.json").read_text())
    config["train"]["model"]["backbone"]["encoder"]["model"] = name
    (folder / "config.json").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(config))
    model = load_predictor(folder)
    with pytest.raises(error, match=words):
        model.predict(np.zeros((40, 40, 3), dtype=np.uint8), (5.0, 5.0, 20.0, 20.0))


def test_a_decoder_is_scored_with_and_without_the_silhouette(made: SimpleNamespace) -> None:
    report = made.store.path(made.run("evaluate", made.evaluate))
    methods = json.loads((report / "metrics.json").read_text())["methods"]
    assert {"trained on truth", "trained on truth, image only"} <= set(methods)


def test_models_run_where_the_command_says(made: SimpleNamespace, tmp_path: Path) -> None:
    nowhere, model = "cuda:99", str(made.store.path(made.model))
    with pytest.raises(SettingsError, match=nowhere):
        made.run("evaluate", replace(made.evaluate, seed=1, run=RunOn(nowhere)))
    image = next(made.store.path(made.world).rglob("*.png"))
    with pytest.raises(SettingsError, match=nowhere):
        Predict((image,), model, tmp_path / "out", device=nowhere)(Session(str(made.root / "store")))


def test_an_encoder_of_silhouettes_needs_them(made: SimpleNamespace) -> None:
    settings = EncodeSettings(features=SilhouetteFeatures(), crop_size=64, variants=1)
    encoded = made.run("encode", replace(made.encode, settings=settings))
    train = replace(made.train, encoded=encoded, synthetic=None, encoded_synthetic=None)
    model = made.run("train", train)
    predictor = load_predictor(made.store.path(model))
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    with pytest.raises(FeatureError, match="silhouette"):
        predictor.predict(image, (5.0, 5.0, 20.0, 20.0))
    report = made.store.path(made.run("evaluate", replace(made.evaluate, models=(model,))))
    methods = json.loads((report / "metrics.json").read_text())["methods"]
    assert "trained on truth" in methods
    assert "trained on truth, image only" not in methods


def test_the_report_warns_of_a_collapsed_model(tmp_path: Path) -> None:
    summary = {"collapsed_to_one_side": True, "left_predicted": 1.0, "left_labels": 0.5}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "old").mkdir()
    inputs = SimpleNamespace(paths=lambda name: (tmp_path, tmp_path / "old"))
    (note,) = collapse_notes(inputs, ["bad", "old"])  # pyright: ignore[reportArgumentType]
    assert note.startswith("bad: the model has collapsed to one side: 100%")


# ---- processes and presets


def test_more_gpus_than_there_are(made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(SettingsError, match="2 GPUs; received 1 on this machine"):
        made.run("train", replace(made.train, gpus=2, category="quadruped", settings=replace(SHORT, seed=9)))
    assert count_processes(replace(made.train, gpus=1))[1].device == "cuda"


def test_a_launcher_s_processes_share_the_work_on_one_machine(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert count_processes(made.train)[0] == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="2 of 4"):
        count_processes(made.train)


@pytest.mark.slow
def test_two_processes_train_through_the_stage(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    other = replace(made.train, settings=replace(SHORT, seed=5))
    together = made.store.path(made.run("train", other))
    assert {"model.safetensors", "surface.safetensors", "summary.json"} <= set(os.listdir(together))
    assert "work" not in os.listdir(together)


def test_the_other_processes_of_a_launcher_leave_the_stage_to_the_first(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    arguments = ["train", "--dataset", "x", "--template", "y", "--category", "z", "--store", "nowhere"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == ""


def test_a_preset_on_the_command_line_is_where_the_settings_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for given in (["--preset", "shic-paper"], ["--preset=shic-paper"]):
        default, rest = take_preset(Train, ["--dataset", "a", *given, "--category", "b"])
        assert rest == ["--dataset", "a", "--category", "b"]
        assert default.settings.epochs == 40
    assert take_preset(Train, ["--category", "b"]) == (None, ["--category", "b"])
    assert cli.main(["train", "--preset", "shic", "--category", "b"]) == 2
    assert "shic-paper" in capsys.readouterr().err
    assert cli.main(["render", "--preset", "shic-paper"]) == 2
    assert "command with presets" in capsys.readouterr().err
