"""Training in two processes on one machine, on CPUs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from densecorr.errors import SettingsError, TrainingError
from densecorr.models import DecoderBackbone
from densecorr.training.launch import train_together
from densecorr.training.processes import OneProcess, part_of, resolve_precision, share_statistics
from densecorr.training.settings import TrainSettings
from densecorr.training.train import train


class Killed(BaseException):
    """Not an Exception, so that nothing on the way may catch it."""


def without_dropout(settings: TrainSettings) -> TrainSettings:
    backbone = replace(settings.model.backbone, dropout=0.0)
    return replace(settings, model=replace(settings.model, backbone=backbone))


def prepare(root: Path, folder: Path) -> tuple[Path, Path]:
    """The folders `out` and `work` of a run whose examples lie in `folder`."""
    out, work = root / "out", root / "work"
    out.mkdir(parents=True, exist_ok=True)
    for name in ("real", "synthetic"):
        shutil.copytree(folder, work / name, dirs_exist_ok=True)
    return out, work


def assert_same_model(a: Path, b: Path) -> None:
    """All but the row of C of the constant function: no score depends on it, so its gradient is rounding."""
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert first.keys() == second.keys()
    first["C"], second["C"] = first["C"][1:], second["C"][1:]
    for name in first:
        torch.testing.assert_close(first[name].float(), second[name].float(), atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.slow
def test_two_processes_end_with_the_model_of_one(
    tmp_path: Path, examples, examples_folder, level, make_settings
) -> None:
    settings = without_dropout(make_settings(steps=6, learning_rate=1e-3))
    (tmp_path / "one").mkdir()
    train(tmp_path / "one", tmp_path / "state", examples, examples, level, settings, {})
    out, work = prepare(tmp_path, examples_folder)
    seen: list[int] = []
    train_together(2, out, work, level, settings, {"a": 1}, lambda done, *_: seen.append(done))
    assert_same_model(tmp_path / "one", out)
    assert seen == [1, 2, 3, 4, 5, 6, 6]
    metrics = [pd.read_parquet(folder / "metrics.parquet") for folder in (tmp_path / "one", out)]
    np.testing.assert_allclose(metrics[0].to_numpy(), metrics[1].to_numpy(), rtol=2e-3, atol=1e-4)
    assert json.loads((out / "config.json").read_text())["a"] == 1


@pytest.mark.slow
def test_two_processes_go_on_after_a_kill(tmp_path: Path, encoded_folder, level, make_settings) -> None:
    model = replace(make_settings().model, backbone=DecoderBackbone(widths=(8, 8), upsample=2))
    settings = make_settings(steps=8, checkpoint_every=3, learning_rate=1e-3, model=model)
    out, work = prepare(tmp_path / "straight", encoded_folder)
    train_together(2, out, work, level, settings, {})
    broken, work = prepare(tmp_path / "broken", encoded_folder)

    def kill(done: int, total: int, text: str) -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        train_together(2, broken, work, level, settings, {}, kill)
    seen: list[int] = []
    train_together(2, broken, work, level, settings, {}, lambda done, *_: seen.append(done))
    assert seen[0] in (4, 7)  # after a state that was kept
    assert_same_model(out, broken)


@pytest.mark.slow
def test_what_a_process_raises_is_raised_here(tmp_path: Path, examples_folder, level, make_settings) -> None:
    out, work = prepare(tmp_path, examples_folder)
    with pytest.raises(SettingsError, match="batch_size of at least 2"):
        train_together(2, out, work, level, make_settings(batch_size=1), {})
    shutil.rmtree(work / "real")
    with pytest.raises(TrainingError, match="code 1 of process"):
        train_together(2, out, work, level, make_settings(), {})


# ---- the parts


@pytest.mark.parametrize("n", [2, 5, 16])
def test_the_parts_of_all_processes_are_everything_once(n: int) -> None:
    parts = []
    for rank in range(3):
        process = OneProcess(torch.device("cpu"), "fp32")
        process.rank, process.count = rank, 3
        parts += list(range(n))[part_of(n, process)]
    assert parts == list(range(n))


def test_shared_statistics_of_one_process_are_its_own() -> None:
    """Parameters stay the same objects, so an optimiser made before still moves them."""
    torch.manual_seed(0)
    plain, shared = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    weight = shared.weight
    share_statistics(shared)
    assert shared.weight is weight
    torch.distributed.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
    try:
        x = torch.randn(4, 3, 5, 5) * 3 + 1
        inputs = x.clone().requires_grad_(), x.clone().requires_grad_()
        outputs = plain(inputs[0]), shared(inputs[1])
        torch.testing.assert_close(*outputs)
        for output in outputs:
            (output.square() * torch.arange(5.0)).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(plain.running_var, shared.running_var)
        torch.testing.assert_close(plain.running_mean, shared.running_mean)
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(plain.eval()(x), shared.eval()(x))


@pytest.mark.parametrize(
    ("amx", "avx512", "precision"),
    [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")],
)
def test_precisions(monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, precision: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == precision
    assert resolve_precision("bf16", cpu) == "bf16"
    with pytest.raises(SettingsError, match="fp16"):
        resolve_precision("fp16", cpu)
