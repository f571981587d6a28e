import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from densecorr.errors import DependencyError, SettingsError, TrainingError
from densecorr.features import SilhouetteFeatures
from densecorr.losses import ShicLoss
from densecorr.models import CseModel, DecoderBackbone
from densecorr.training.augment import Augmentation
from densecorr.training.encoded import Encoding
from densecorr.training.examples import LabelledPoints, write_encoded_examples
from densecorr.training.processes import OneProcess
from densecorr.training.settings import learning_rate_at
from densecorr.training.train import train


class Killed(BaseException):
    """Not an Exception, so that nothing on the way may catch it."""


def kill_at(step: int) -> Any:
    def progress(done: int, total: int, text: str) -> None:
        if done == step:
            raise Killed

    return progress


def run(out: Path, examples, level, settings, progress=None, synthetic: bool = True, say=None) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    work = out.parent / f"{out.name}-work"
    more = examples if synthetic else None
    train(out, work, examples, more, level, settings, {"category": "globe"}, progress, say)
    return out


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_writes_the_model_its_settings_and_its_metrics(out, examples, level, make_settings) -> None:
    settings = make_settings()
    seen: list[tuple[int, int, str]] = []
    run(out, examples, level, settings, lambda *report: seen.append(report))
    assert set(all_bytes(out)) == {"model.safetensors", "config.json", "metrics.parquet", "summary.json"}
    config = json.loads((out / "config.json").read_text())
    assert config["category"] == "globe"
    assert config["train"]["loss"]["equivariance"] == 0.01
    tensors = load_file(out / "model.safetensors")
    assert tensors["C"].shape == (9, 4)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    metrics = pd.read_parquet(out / "metrics.parquet")
    assert metrics["step"].tolist() == [0, 3, 6, 9, 10]  # every third, and the last
    terms = [name for name in metrics if name.startswith("loss/")]
    assert len(terms) == 6  # every weighted term, from the first step on
    assert (metrics.loc[0, terms] > 0).all()
    np.testing.assert_allclose(metrics["loss"], metrics[terms].sum(axis=1), rtol=1e-5)
    assert [report[0] for report in seen] == [*range(1, 12), 11]


def test_a_batch_is_made_for_each_step_and_no_more(
    out, examples, level, make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, steps = sys.modules["densecorr.training.train"], []
    make_batches = module.make_batches
    monkeypatch.setattr(
        module, "make_batches", lambda *given: steps.append(given[-1]) or make_batches(*given)
    )
    run(out, examples, level, make_settings(steps=4))
    assert steps == [0, 1, 2, 3]


def test_no_two_processes_drop_the_same_at_any_step(
    tmp_path: Path, examples, level, make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    settings = make_settings(steps=3, batch_size=2, seed=2, synthetic_batch=0)
    drawn = []
    for rank, count in ((0, 1), (0, 2), (1, 2)):
        process = OneProcess(torch.device("cpu"), "fp32")
        process.rank, process.count = rank, count
        out, work = tmp_path / f"out{rank}{count}", tmp_path / f"work{rank}{count}"
        out.mkdir()
        seeds.clear()
        train(out, work, examples, None, level, settings, {}, processes=process)
        drawn.append(seeds[-3:])
    assert drawn[0] == [2_000_006, 2_000_007, 2_000_008]
    assert len({*drawn[1], *drawn[2]}) == 6


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_a_few_crops_brings_the_loss_down(out, examples, level, make_settings, precision) -> None:
    settings = make_settings(
        steps=40,
        batch_size=6,
        precision=precision,
        log_every=1,
        synthetic_batch=0,
        augmentation=Augmentation(rotation=0.0, scale=0.0, shift=0.0, flip=0.0, brightness=0.0, color=0.0),
        loss=ShicLoss(softness=0.05, cycle_points=8),
    )
    settings = replace(
        settings, model=replace(settings.model, backbone=replace(settings.model.backbone, dropout=0.0))
    )
    run(out, examples, level, settings, synthetic=False)
    metrics = pd.read_parquet(out / "metrics.parquet")
    first, last = metrics.iloc[:3].mean(), metrics.iloc[-5:].mean()
    assert first["loss/pseudo"] > 0.8 * np.log(42)  # it starts by knowing nothing of 42 vertices
    for term in ("pseudo", "distance", "foreground"):
        assert last[f"loss/{term}"] < 0.75 * first[f"loss/{term}"], term


# ---- the same run again, whatever happens on the way


def test_the_seed_decides_every_byte(tmp_path: Path, examples, level, make_settings) -> None:
    first, again, other = (
        all_bytes(run(tmp_path / name, examples, level, make_settings(steps=5, seed=seed)))
        for name, seed in [("a", 1), ("b", 1), ("c", 2)]
    )
    assert first == again
    assert first["model.safetensors"] != other["model.safetensors"]


@pytest.mark.parametrize(
    ("killed", "precision"), [((2,), "fp32"), ((6,), "bf16"), ((4, 8, 11), "fp32"), ((5, 5, 7), "fp32")]
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, examples, level, make_settings, killed: tuple[int, ...], precision: str
) -> None:
    settings = make_settings(precision=precision)
    straight = all_bytes(run(tmp_path / "straight", examples, level, settings))
    for step in killed:
        with pytest.raises(Killed):
            run(tmp_path / "broken", examples, level, settings, kill_at(step))
        torch.rand(7)  # whatever else the process did
    seen: list[int] = []
    broken = run(tmp_path / "broken", examples, level, settings, lambda done, *_: seen.append(done))
    assert seen[0] == (max(killed) - 1) // 4 * 4 + 1  # the step after the last state that was kept
    assert all_bytes(broken) == straight


def test_a_run_over_the_first_steps_again_changes_nothing(
    tmp_path: Path, examples, level, make_settings
) -> None:
    """A state may be older than the last metrics: they must not come twice."""
    with pytest.raises(Killed):
        run(tmp_path / "a", examples, level, make_settings(), kill_at(7))
    run(tmp_path / "a", examples, level, make_settings())
    steps = pd.read_parquet(tmp_path / "a" / "metrics.parquet")["step"]
    assert steps.tolist() == [0, 3, 6, 9, 10]


# ---- what goes wrong


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_terms(
    out, examples, level, make_settings
) -> None:
    weight = np.array(examples.weight)
    weight[:] = np.nan
    with pytest.raises(TrainingError, match=r"step 0.*'pseudo': nan.*'foreground': 0\.\d+") as caught:
        run(out, replace(examples, weight=weight), level, make_settings())
    assert "learning rate" in str(caught.value)
    assert not (out / "model.safetensors").exists()


def test_a_learning_rate_that_explodes_stops_the_run(out, examples, level, make_settings) -> None:
    with pytest.raises(TrainingError, match="finite loss at step"):
        run(out, examples, level, make_settings(learning_rate=1e30, optimizer="adam", steps=30))


@pytest.mark.parametrize(
    ("device", "words"), [("cuda", "0 CUDA devices"), ("cuda:1", "cuda:1"), ("gpu", "cpu, cuda or cuda:1")]
)
def test_a_device_that_is_not_there_is_an_error(
    out, examples, level, make_settings, monkeypatch: pytest.MonkeyPatch, device: str, words: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingsError, match=words):
        run(out, examples, level, make_settings(device=device))


# ---- options


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "adam", "schedule": "step"},
        {"loss": ShicLoss.paper()},
        {"loss": ShicLoss(synthetic=0.0)},
        {"loss": ShicLoss(pseudo=0.0, distance=0.0)},
        {"threads": 0},
        {"augmentation": Augmentation(hint=1.0)},  # no image is left to find the silhouette in
    ],
)
def test_every_option_trains(out, examples, level, make_settings, changed: dict[str, Any]) -> None:
    run(out, examples, level, make_settings(steps=3, **changed))
    assert np.isfinite(pd.read_parquet(out / "metrics.parquet")["loss"]).all()


def test_without_renders_there_is_no_synthetic_term(out, examples, level, make_settings) -> None:
    run(out, examples, level, make_settings(steps=2), synthetic=False)
    assert "loss/synthetic" not in pd.read_parquet(out / "metrics.parquet")


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_gets_an_event_file(out, examples, level, make_settings) -> None:
    pytest.importorskip("tensorboard")
    run(out, examples, level, make_settings(steps=3, tensorboard=True))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    assert "loss/pseudo" in events.Tags()["scalars"]
    metrics = pd.read_parquet(out / "metrics.parquet")
    assert [event.step for event in events.Scalars("loss")] == metrics["step"].tolist()
    np.testing.assert_allclose([event.value for event in events.Scalars("loss")], metrics["loss"], rtol=1e-6)


def test_tensorboard_that_is_not_installed_names_the_extra(
    out, examples, level, make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(DependencyError, match=r"densecorr\[tensorboard\]"):
        run(out, examples, level, make_settings(tensorboard=True))


def test_the_learning_rate_rises_over_a_tenth_and_falls_along_a_cosine(make_settings) -> None:
    settings = make_settings(steps=100, learning_rate=2.0)
    rates = [learning_rate_at(step, settings) for step in range(100)]
    np.testing.assert_allclose(rates[:10], 0.2 * np.arange(1, 11))
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert (np.diff(rates[10:]) < 0).all()
    assert 0 < rates[-1] < 0.01
    step = make_settings(steps=100, learning_rate=2.0, schedule="step")
    assert [learning_rate_at(s, step) for s in (0, 49, 50, 99)] == pytest.approx([2.0, 2.0, 0.2, 0.2])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_trains_and_resumes(tmp_path: Path, examples, level, make_settings, precision: str) -> None:
    settings = make_settings(device="cuda", precision=precision)
    with pytest.raises(Killed):
        run(tmp_path / "a", examples, level, settings, kill_at(6))
    run(tmp_path / "a", examples, level, settings)
    assert np.isfinite(pd.read_parquet(tmp_path / "a" / "metrics.parquet")["loss"]).all()


# ---- encoded crops


def decoding(settings, **changed):
    """The settings with a decoder in place of the U-Net."""
    backbone = DecoderBackbone(**({"widths": (8, 8), "upsample": 2} | changed))
    return replace(settings, model=replace(settings.model, backbone=backbone))


def test_a_decoder_learns_from_encoded_crops(out, encoded, level, make_settings) -> None:
    """With every term of the loss, equivariance on the mirrored crops' features among them."""
    run(out, encoded, level, decoding(make_settings(steps=40, batch_size=6, log_every=1)))
    metrics = pd.read_parquet(out / "metrics.parquet")
    first, last = metrics.iloc[:3].mean(), metrics.iloc[-5:].mean()
    for term in ("pseudo", "distance", "foreground", "synthetic"):
        assert last[f"loss/{term}"] < 0.85 * first[f"loss/{term}"], term
    assert (metrics["loss/equivariance"] > 0).all()
    model = json.loads((out / "config.json").read_text())["train"]["model"]
    assert model["backbone"]["encoder"]["kind"] == "silhouette"  # the encoding's: a predictor will need it
    assert (model["crop_size"], model["padding"]) == (16, 0.1)


def test_a_killed_run_on_encoded_crops_goes_on_to_the_same_bytes(
    tmp_path: Path, encoded, level, make_settings
) -> None:
    settings = decoding(make_settings())
    straight = all_bytes(run(tmp_path / "straight", encoded, level, settings))
    for step in (3, 7):
        with pytest.raises(Killed):
            run(tmp_path / "broken", encoded, level, settings, kill_at(step))
    assert all_bytes(run(tmp_path / "broken", encoded, level, settings)) == straight


def test_images_must_fit_the_backbone(out, examples, encoded, level, make_settings) -> None:
    with pytest.raises(SettingsError, match=r"plain images and a decoder.*`encode`"):
        run(out, examples, level, decoding(make_settings()))
    with pytest.raises(SettingsError, match="encoded images and a unet"):
        run(out, encoded, level, make_settings())
    with pytest.raises(SettingsError, match=r"stride=8.*leave model.backbone.encoder out"):
        run(out, encoded, level, decoding(make_settings(), encoder=SilhouetteFeatures(stride=8)))


def test_synthetic_images_are_encoded_like_the_real_ones(
    out, encoded, level, make_settings, make_encoding, instances, tmp_path: Path
) -> None:
    other = Encoding(make_encoding(tmp_path / "other", padding=0.3))
    labels = [LabelledPoints(f"globe/{i}", one.xy, one.vertex, one.weight) for i, one in enumerate(instances)]
    synthetic = write_encoded_examples(tmp_path / "labels", other, labels, 6, 60, seed=0)
    settings = decoding(make_settings())
    with pytest.raises(SettingsError, match=r"crops of 16 pixels, padding 0\.1"):
        train(out, tmp_path / "work", encoded, synthetic, level, settings, {})
    wider = run(out, synthetic, level, settings)
    assert json.loads((wider / "config.json").read_text())["train"]["model"]["padding"] == 0.3


# ---- epochs


def test_epochs_are_passes_and_the_rate_falls_half_way(out, examples, level, make_settings) -> None:
    settings = make_settings(epochs=4, batch_size=4, schedule="step", learning_rate=1e-3, log_every=1)
    run(out, examples, level, settings)
    metrics = pd.read_parquet(out / "metrics.parquet")
    assert len(metrics) == 6  # 4 passes over 6 instances, 4 a step
    assert metrics["learning_rate"].tolist() == pytest.approx([1e-3] * 3 + [1e-4] * 3)
    assert json.loads((out / "config.json").read_text())["train"]["steps"] == 6


# ---- symmetry


def test_without_symmetry_nothing_is_mirrored_and_the_user_hears_it(
    out, examples, level, make_settings
) -> None:
    said: list[str] = []
    wrong = replace(level, symmetric=False, mirror=np.zeros(42, dtype=np.int64))
    run(out, examples, wrong, make_settings(steps=4, log_every=1), say=said.append)
    assert said == ["the template is not mirror symmetric: no flips, no equivariance term"]
    assert "loss/equivariance" not in pd.read_parquet(out / "metrics.parquet")
    kept = json.loads((out / "config.json").read_text())["train"]
    assert (kept["augmentation"]["flip"], kept["loss"]["equivariance"]) == (0.0, 0.0)
    assert "collapsed_to_one_side" not in json.loads((out / "summary.json").read_text())
    # the wrong mirror has changed nothing
    plain = replace(level, symmetric=True)
    still = make_settings(
        steps=4,
        log_every=1,
        augmentation=Augmentation(flip=0.0),
        loss=replace(make_settings().loss, equivariance=0.0),
    )
    run(out.parent / "b", examples, plain, still)
    assert (out / "model.safetensors").read_bytes() == (out.parent / "b" / "model.safetensors").read_bytes()


# ---- collapse


def test_a_model_that_knows_one_side_only_is_reported(
    out, examples, level, make_settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says of every pixel what belongs to x, the direction to the left."""
    forward = CseModel.forward

    def constant(self, images, hint=None):
        pixel, logit = forward(self, images, hint)
        return 0 * pixel + 100 * self.C.detach()[1][:, None, None], logit

    monkeypatch.setattr(CseModel, "forward", constant)
    said: list[str] = []
    run(out, examples, level, make_settings(learning_rate=1e-6, checkpoint_every=5), say=said.append)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["collapsed_to_one_side"] is True
    assert summary["left_predicted"] > 0.98
    assert 0.3 < summary["left_labels"] < 0.8
    assert len(said) == 3  # at both checkpoints and at the end
    assert all("collapsed to one side" in text for text in said)
    metrics = pd.read_parquet(out / "metrics.parquet")
    assert (metrics["left_predicted"] > 0.98).all()
    assert (metrics["left_labels"].iloc[-1]) == pytest.approx(summary["left_labels"], abs=1e-3)


def test_a_model_that_learns_is_not_called_collapsed(out, examples, level, make_settings) -> None:
    said: list[str] = []
    run(out, examples, level, make_settings(steps=40, batch_size=6, log_every=1), say=said.append)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["collapsed_to_one_side"] is False
    assert not said
