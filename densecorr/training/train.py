"""The training loop, top to bottom: CSE and SHIC's loss on labelled crops and on renders of the template."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from ..errors import SettingsError, TrainingError
from ..losses import Geometry, Loss, Scored, ShicLoss
from ..losses.shic import is_finite
from ..models import CseModel, CseModelSettings
from .augment import Augmentation, Batch, flip_batch, sample_batch
from .checkpoints import load_training_state, save_model, save_training_state
from .examples import Examples

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Attributes:
        steps: optimiser steps. batch_size: labelled crops a step. synthetic_batch: template renders a step.
        points: labels used of each crop in a step.
        learning_rate: the peak; it rises over the first tenth and falls along a cosine. `schedule` 'step' is
            SHIC's: constant, a tenth from half-way on.
        clip: largest gradient norm.
        precision: 'bf16' computes the network in bfloat16 (autocast), 'fp32' does not; 'auto' takes bf16 where the
            processor has units for it (AMX, CUDA).
        checkpoint_every: steps between states a killed run goes on from.
        threads: torch's, 0 leaves them; with one thread a CPU run repeats to the bit on any number of cores.
        tensorboard: also write its event file into the artifact (extra `tensorboard`).
    """

    steps: int = 600
    batch_size: int = 16
    synthetic_batch: int = 4
    points: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    schedule: Literal["cosine", "step"] = "cosine"
    optimizer: Literal["adamw", "adam"] = "adamw"
    clip: float = 5.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_every: int = 200
    log_every: int = 20
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    tensorboard: bool = False
    model: CseModelSettings = field(default_factory=CseModelSettings)
    loss: Loss = field(default_factory=ShicLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class TrainingLevel:
    """The template at the level a model is trained on: K vertices."""

    basis: Float[np.ndarray, "K M"]
    geodesics: Float[np.ndarray, "K K"]
    mirror: Int[np.ndarray, " K"]
    diameter: float


def learning_rate_at(step: int, settings: TrainSettings) -> float:
    """The learning rate of one step (0-based)."""
    if settings.schedule == "step":
        return settings.learning_rate * (1.0 if step < settings.steps // 2 else 0.1)
    warm = max(1, settings.steps // 10)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    return (
        settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, settings.steps - warm)))
    )


def train(
    out: Path,
    work: Path,
    real: Examples,
    synthetic: Examples | None,
    level: TrainingLevel,
    settings: TrainSettings,
    config: dict[str, Any],
    progress: Report | None = None,
) -> None:
    """Train and write model.safetensors, config.json and metrics.parquet to `out`.

    `work` keeps the state a killed run goes on from; on a CPU it then ends with the same bytes.

    Raises:
        TrainingError: a loss that is not a finite number, with the step and the terms.
    """
    import pandas as pd

    # ---- set up
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = torch.device(settings.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "a CUDA device", "none here", "Set device = 'cpu', or install a CUDA build of torch."
        )
    model = CseModel(settings.model, torch.from_numpy(level.basis).float()).to(device)
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] torch's stub lacks it
    rule = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    optimizer = rule(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    mirror = torch.from_numpy(level.mirror).long()
    geometry = settings.loss.geometry(
        torch.from_numpy(level.geodesics).float().to(device), level.diameter, mirror.to(device)
    )
    uses_synthetic = synthetic is not None and settings.synthetic_batch > 0 and settings.loss.synthetic > 0

    # ---- resume
    loop = load_training_state(work, model, optimizer) or {"step": 0, "metrics": []}
    metrics, started = loop["metrics"], time.perf_counter()
    writer = _tensorboard(out) if settings.tensorboard else None

    # ---- steps
    model.train()
    for step in range(loop["step"], settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, settings)
        seed = settings.seed * 1_000_003 + step
        torch.manual_seed(seed)  # dropout's: a run that was killed drops what it would have dropped
        generator = torch.Generator().manual_seed(seed)
        batch = sample_batch(
            real, settings.batch_size, settings.points, mirror, settings.augmentation, generator
        )
        parts = [batch]
        if uses_synthetic and synthetic is not None:
            parts.append(
                sample_batch(
                    synthetic,
                    settings.synthetic_batch,
                    settings.points,
                    mirror,
                    settings.augmentation,
                    generator,
                )
            )
        scored = score_batches(model, parts, settings, geometry)
        terms = settings.loss(scored[0], scored[1] if len(scored) > 1 else None, geometry)
        if not is_finite(terms):
            values = {name: float(term.detach()) for name, term in terms.items()}
            raise TrainingError(
                f"a finite loss at step {step}", str(values), "Lower the learning rate; use fp32."
            )
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()

        # ---- log and keep
        if step % settings.log_every == 0 or step + 1 == settings.steps:
            row = {"step": step, "loss": float(loss.detach()), "gradient_norm": float(norm)}
            row |= {f"loss/{name}": float(term.detach()) for name, term in terms.items()}
            metrics.append(row | {"learning_rate": learning_rate_at(step, settings)})
            if writer is not None:
                for name, value in row.items():
                    writer.add_scalar(name, value, step)
        if progress is not None:
            progress(step + 1, settings.steps, f"loss {float(loss.detach()):.3f}")
        if (step + 1) % settings.checkpoint_every == 0 and step + 1 < settings.steps:
            save_training_state(work, model, optimizer, {"step": step + 1, "metrics": metrics})

    # ---- write
    if writer is not None:
        writer.close()
    pd.DataFrame(metrics).to_parquet(out / "metrics.parquet", index=False)
    model.eval()
    save_model(out, model, {**config, "train": asdict(settings)})
    if progress is not None:
        progress(settings.steps, settings.steps, f"trained in {time.perf_counter() - started:.0f} s")


def score_batches(
    model: CseModel, batches: list[Batch], settings: TrainSettings, geometry: Geometry
) -> list[Scored]:
    """Run the model once over all batches (and once over the first one flipped, if its loss asks for it)."""
    device = geometry.geodesics.device
    batches = [to_device(batch, device) for batch in batches]
    if settings.loss.equivariance > 0:
        batches = [*batches, flip_batch(batches[0])]
    images = torch.cat([batch.images for batch in batches]).contiguous(memory_format=torch.channels_last)
    hint = torch.cat([batch.hint for batch in batches])
    with torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(settings.precision, device)):
        pixel, logit = model(images, hint)
    pixel, logit = pixel.float(), logit.float()
    vertices = model.vertex_embedding() / settings.model.temperature
    scored, start = [], 0
    for batch in batches:
        end = start + len(batch.images)
        scored.append(_score(pixel[start:end], logit[start:end], batch, vertices))
        start = end
    if settings.loss.equivariance > 0:
        flipped = scored.pop()
        first = scored[0]
        scored[0] = Scored(**{**first.__dict__, "log_p_flipped": flipped.log_p})
    return scored


def _score(
    pixel: Float[Tensor, "B E h w"],
    logit: Float[Tensor, "B h w"],
    batch: Batch,
    vertices: Float[Tensor, "K E"],
) -> Scored:
    side = pixel.shape[-1]
    at_points = grid_sample(pixel, batch.xy[:, None], align_corners=False, padding_mode="border")[:, :, 0]
    log_p = (at_points.transpose(1, 2) @ vertices.T).log_softmax(dim=-1)
    share = avg_pool2d(batch.silhouettes[:, None], batch.silhouettes.shape[-1] // side)[:, 0]
    return Scored(
        log_p, batch.vertex, batch.weight, (batch.xy + 1) * (side / 2) - 0.5, logit, share, batch.known
    )


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether the network is computed in bfloat16."""
    if precision != "auto":
        return precision == "bf16"
    return (
        torch.cuda.is_bf16_supported() if device.type == "cuda" else bool(torch.cpu._is_amx_tile_supported())
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; itself when it is there already."""
    if device.type == "cpu":
        return batch
    return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in batch.__dict__.items()})


def _tensorboard(out: Path) -> Any:
    from ..errors import DependencyError

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise DependencyError(
            "the tensorboard package", "none", "Install densecorr[tensorboard], or leave tensorboard = false."
        ) from error
    return SummaryWriter(str(out / "tensorboard"))
