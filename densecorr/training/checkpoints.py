"""Checkpoints: tensors as safetensors, everything else as JSON beside them. Never pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..config import to_jsonable

MODEL_FILE, CONFIG_FILE, STATE_FILE, LOOP_FILE = (
    "model.safetensors",
    "config.json",
    "state.safetensors",
    "loop.json",
)


def save_model(folder: Path, model: nn.Module, config: dict[str, Any]) -> None:
    """`model.safetensors` and `config.json` (settings, template, data, lineage: as the caller gives them)."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / MODEL_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps(to_jsonable(config), indent=1, sort_keys=True) + "\n")


def save_training_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, loop: dict[str, Any]
) -> None:
    """Everything a run needs to go on as if it had not stopped; replaces the previous state in one rename."""
    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    temporary, final = folder / "writing", folder / "latest"
    temporary.mkdir(parents=True, exist_ok=True)
    save_file(tensors, temporary / STATE_FILE)
    (temporary / LOOP_FILE).write_text(json.dumps(loop))
    previous = folder / "previous"
    if final.exists():
        _remove(previous)
        final.rename(previous)
    temporary.rename(final)
    _remove(previous)


def load_training_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Restore the newest whole state into model and optimizer; None when there is none."""
    found = next(
        (folder / name for name in ("latest", "previous") if (folder / name / LOOP_FILE).exists()), None
    )
    if found is None:
        return None
    tensors = load_file(found / STATE_FILE)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return json.loads((found / LOOP_FILE).read_text())


def _remove(folder: Path) -> None:
    if folder.exists():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
