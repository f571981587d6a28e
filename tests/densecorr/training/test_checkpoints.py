import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from densecorr.losses import ShicLoss
from densecorr.training import checkpoints
from densecorr.training.checkpoints import load_training_state, save_model, save_training_state


class Killed(BaseException):
    """Not an Exception, so that nothing on the way may catch it."""


def make_model(value: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Weights and optimiser state that tell their value."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value)
    optimizer.step()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model, optimizer


def save(folder: Path, value: float) -> None:
    save_training_state(folder, *make_model(value), {"step": int(value), "metrics": [{"loss": value / 3}]})


def loaded(folder: Path) -> float | None:
    """The value of the state in the folder, None without one; asserts that it is whole."""
    model, optimizer = make_model(-1.0)
    loop = load_training_state(folder, model, optimizer)
    if loop is None:
        return None
    value = float(loop["step"])
    assert loop["metrics"] == [{"loss": value / 3}]
    expected, expected_optimizer = make_model(value)
    for a, b in zip(model.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    states = optimizer.state_dict()["state"], expected_optimizer.state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for index, state in states[0].items():
        for name, tensor in state.items():
            assert torch.equal(tensor, states[1][index][name]), (index, name)
    return value


def test_a_state_comes_back_whole_and_is_replaced_by_the_next(tmp_path: Path) -> None:
    assert loaded(tmp_path / "none") is None
    for value in (1.0, 2.0, 3.0):
        save(tmp_path, value)
        assert loaded(tmp_path) == value
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_a_restored_optimiser_goes_on_as_the_one_that_was_saved(tmp_path: Path) -> None:
    model, optimizer = make_model(0.5)
    save_training_state(tmp_path, model, optimizer, {"step": 0})
    other, other_optimizer = make_model(7.0)
    load_training_state(tmp_path, other, other_optimizer)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for a, b in zip(model.parameters(), other.parameters(), strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        optimizer.step()
        other_optimizer.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


class KillSwitch:
    """Raises instead of the n-th change to the file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        for name in ("rename", "unlink", "rmdir", "write_text", "mkdir"):
            monkeypatch.setattr(Path, name, self.counting(getattr(Path, name)))
        monkeypatch.setattr(checkpoints, "save_file", self.counting(checkpoints.save_file))

    def counting(self, change: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return change(*arguments, **options)

        return wrapped

    def saved(self, folder: Path, value: float, changes: int) -> bool:
        """Save, or be killed after so many changes."""
        self.left = changes
        try:
            save(folder, value)
        except Killed:
            return False
        finally:
            self.left = -1
        return True


def test_a_kill_at_any_change_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch, changes, finished, kept = KillSwitch(monkeypatch), 0, False, set()
    while not finished:
        folder = tmp_path / str(changes)
        save(folder, 1.0)
        finished = switch.saved(folder, 2.0, changes)
        kept.add(loaded(folder))
        for second in range(9):  # killed again when it goes on
            before = loaded(folder)
            switch.saved(folder, 3.0 + second, second)
            assert loaded(folder) in (before, 3.0 + second)
        save(folder, 50.0)
        assert loaded(folder) == 50.0
        assert [path.name for path in folder.iterdir()] == ["latest"]
        changes += 1
    assert changes > 6
    assert kept == {1.0, 2.0}


def test_a_kill_during_the_first_save_leaves_nothing_to_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = KillSwitch(monkeypatch)
    for changes in range(4):
        folder = tmp_path / str(changes)
        if not switch.saved(folder, 1.0, changes):
            assert loaded(folder) is None


def test_a_saved_model_has_its_tensors_and_a_readable_configuration(tmp_path: Path) -> None:
    model, _ = make_model(2.0)
    config = {"train": ShicLoss(), "array": np.arange(3), "folder": Path("a/b"), "pair": (1, 2.5)}
    save_model(tmp_path / "new", model, config)
    stored = json.loads((tmp_path / "new" / "config.json").read_text())
    assert stored["train"]["kind"] == "shic"
    assert stored["array"] == [0, 1, 2]
    assert stored["pair"] == [1, 2.5]
    from safetensors.torch import load_file

    tensors = load_file(tmp_path / "new" / "model.safetensors")
    assert tensors.keys() == model.state_dict().keys()
    assert torch.equal(tensors["0.weight"], model.state_dict()["0.weight"])


def test_no_file_is_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle was used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    save(tmp_path, 4.0)
    save_model(tmp_path / "model", make_model(4.0)[0], {})
    model, optimizer = make_model(0.0)
    assert load_training_state(tmp_path, model, optimizer) is not None
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    for path in files:
        start = path.read_bytes()[:9]
        assert start[:1] == b"{" or start[8:9] == b"{", path  # JSON, or safetensors: a length, then JSON
