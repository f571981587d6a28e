"""Settings of a training run, and SHIC's recipe as a preset (Sec. 3.4-3.6, 7.2)."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

from ..config import check_least
from ..losses import Loss, ShicLoss
from ..models import CseModelSettings
from .augment import Augmentation

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Presets: `shic-cpu`, these defaults; `shic-paper`, the paper's recipe on encoded images.

    Attributes:
        steps: optimiser steps; `epochs`, if not 0, takes their place: passes over the labelled instances.
        batch_size: labelled crops a step, over all processes. synthetic_batch: synthetic images a step.
        points: labels used of each crop in a step.
        learning_rate: the peak; it rises over the first tenth and falls along a cosine. `schedule` 'step' is
            SHIC's: constant, a tenth from half-way on.
        clip: largest gradient norm.
        precision: 'bf16' and 'fp16' compute the network in half precision (autocast; fp16, for CUDA only, with scaled
            gradients), 'fp32' does not; 'auto' takes bf16 where it is quicker (CUDA, AMX, AVX-512 BF16).
        checkpoint_every: steps between states a killed run goes on from.
        threads: torch's, 0 leaves them; with one thread a CPU run repeats to the bit on any number of cores.
        tensorboard: also write its event file into the artifact (extra `tensorboard`).
    """

    steps: int = 600
    epochs: int = 0
    batch_size: int = 16
    synthetic_batch: int = 4
    points: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    schedule: Literal["cosine", "step"] = "cosine"
    optimizer: Literal["adamw", "adam"] = "adamw"
    clip: float = 5.0
    precision: Precision = "auto"
    checkpoint_every: int = 200
    log_every: int = 20
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    tensorboard: bool = False
    model: CseModelSettings = field(default_factory=CseModelSettings)
    loss: Loss = field(default_factory=ShicLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Raise a SettingsError for numbers that mean nothing."""
        check_least(
            self, {"batch_size": 1, "synthetic_batch": 0, "points": 1, "log_every": 1, "checkpoint_every": 1}
        )
        check_least(self, {"epochs": 0, "steps": 0 if self.epochs else 1})

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "shic-cpu": {},
        "shic-paper": {
            "epochs": 40,
            "points": 100,
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "schedule": "step",
            "optimizer": "adam",
            "model": {
                "embedding": 16,
                "n_eigenfunctions": 64,
                "unit": "none",
                "temperature": 1.0,
                "backbone": {"kind": "decoder"},
            },
            "loss": asdict(ShicLoss.paper()) | {"cycle_points": 100},
        },
    }


def with_steps(settings: TrainSettings, n_instances: int) -> TrainSettings:
    """Epochs turned into steps: as many as bring every instance up `epochs` times."""
    if settings.epochs == 0:
        return settings
    return replace(settings, steps=math.ceil(settings.epochs * n_instances / settings.batch_size))


def without_mirror(settings: TrainSettings) -> TrainSettings:
    """No flips and no equivariance term: of a template without symmetry, the mirror vertices are wrong."""
    return replace(
        settings,
        augmentation=replace(settings.augmentation, flip=0.0),
        loss=replace(settings.loss, equivariance=0.0),
    )


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
