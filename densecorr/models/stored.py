"""A trained model's folder: what it needs of its template beside it, and reading all of it back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..config import from_jsonable
from ..errors import ArtifactError
from ..features.placement import check_device
from .cse import CseModel, CseModelSettings
from .predictor import Predictor

SURFACE_FILE = "surface.safetensors"


def write_surface(
    folder: Path,
    basis: Float[np.ndarray, "V M"],
    colors: UInt8[np.ndarray, "V 3"],
    mirror: Int[np.ndarray, " V"] | None = None,
    mirror_coarse: Int[np.ndarray, " K"] | None = None,
) -> None:
    """Keep what a model needs of its template beside it, so that it can be used on its own.

    The (scaled) eigenbasis and the colours; of a symmetric template also the mirror vertices, at full resolution and at
    the training level.
    """
    arrays = {"basis": basis, "colors": colors}
    if mirror is not None and mirror_coarse is not None:
        arrays |= {"mirror": mirror, "mirror_coarse": mirror_coarse}
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
    save_file(tensors, folder / SURFACE_FILE)


def load_predictor(folder: Path | str, device: str = "cpu") -> Predictor:
    """The model of a `train` artifact's folder, to run on a device: cpu, cuda, cuda:1.

    An encoder in fp16 is loaded in fp32 on a CPU, which cannot compute in fp16.

    Raises:
        ArtifactError: the folder holds no whole model.
        SettingsError: the device is not here.
    """
    target, folder = check_device(device), Path(folder)
    config = _read_part(folder / "config.json", lambda path: json.loads(path.read_text()))
    surface = _read_part(folder / SURFACE_FILE, load_file)
    tensors = _read_part(folder / "model.safetensors", load_file)
    if "model" not in config.get("train", {}) or "basis" not in tensors:
        raise ArtifactError("a trained model's folder", str(folder), "Name a `train` artifact.")
    settings = from_jsonable(CseModelSettings, config["train"]["model"])
    first = tensors.get("backbone.layers.0.0.weight")  # of a decoder: its input's channels are the encoder's
    channels = None if first is None else first.shape[1]
    model = CseModel(settings, torch.zeros_like(tensors["basis"]) + 1.0, channels)
    model.load_state_dict(tensors)
    return Predictor(model, surface, config, target)


def _read_part(path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    try:
        return read(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(
            "a trained model's folder", f"{path} ({error})", "Name a `train` artifact."
        ) from error
