"""The training loop, top to bottom: CSE and SHIC's loss on labelled crops and on synthetic images of the template."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..errors import TrainingError
from ..features.placement import check_device
from ..losses.shic import is_finite
from ..models import CseModel
from .checkpoints import load_training_state, save_model, save_training_state
from .collapse import SideCounter, collapse_warning, summarise_sides
from .examples import EncodedExamples, Examples
from .prepare import Say, TrainingLevel, check_batches, make_batches, resolve_settings
from .processes import OneProcess, Processes, memory_format
from .score import score_batches
from .settings import TrainSettings, learning_rate_at

Report = Callable[[int, int, str], None]


def train(
    out: Path,
    work: Path,
    real: Examples | EncodedExamples,
    synthetic: Examples | EncodedExamples | None,
    level: TrainingLevel,
    settings: TrainSettings,
    config: dict[str, Any],
    progress: Report | None = None,
    say: Say | None = None,
    processes: Processes | None = None,
) -> None:
    """Train and write model.safetensors, config.json, summary.json and metrics.parquet to `out`.

    `work` keeps the state a killed run goes on from; on a CPU it then ends with the same bytes. `say` hears what the
    user should know. Of several `processes`, each calls this with the same arguments, and the first one writes.

    Raises:
        TrainingError: a loss that is not a finite number, with the step and the terms.
        SettingsError: a device that is not here; examples that do not fit the backbone.
    """
    import pandas as pd

    # ---- set up
    settings = resolve_settings(settings, real, synthetic, level, say)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    if processes is None:
        processes = OneProcess(check_device(settings.device), settings.precision)
    check_batches(settings, synthetic is not None, processes.count)
    first, device = processes.rank == 0, processes.device
    channels = real.encoding.channels if isinstance(real, EncodedExamples) else None
    model = CseModel(settings.model, torch.from_numpy(level.basis).float(), channels).to(device)
    model = model.to(memory_format=memory_format(device))  # pyright: ignore[reportCallIssue] torch's stub lacks it
    rule = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    optimizer = rule(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    mirror = torch.from_numpy(level.mirror).long()
    geometry = settings.loss.geometry(
        torch.from_numpy(level.geodesics).float().to(device), level.diameter, mirror.to(device)
    )

    # ---- resume
    loop = load_training_state(work, model, optimizer) or {
        "step": 0,
        "metrics": [],
        "sides": [],
        "scaler": {},
    }
    metrics, started = loop["metrics"], time.perf_counter()
    sides = SideCounter(torch.from_numpy(level.side).long().to(device), loop["sides"])
    network = processes.prepare(model, optimizer, loop["scaler"])
    writer = _tensorboard(out) if settings.tensorboard and first else None

    # ---- steps
    model.train()
    batches_at = partial(make_batches, real, synthetic, mirror, settings, processes)
    threads = partial(torch.set_num_threads, settings.threads or torch.get_num_threads())
    with ThreadPoolExecutor(1, "batches", threads) as ahead:  # the next batch is made while this one is used
        batches = ahead.submit(batches_at, loop["step"])
        for step in range(loop["step"], settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, settings)
            # dropout's: a run that was killed drops what it would have dropped
            torch.manual_seed((settings.seed * 1_000_003 + step) * processes.count + processes.rank)
            parts = batches.result()
            if step + 1 < settings.steps:
                batches = ahead.submit(batches_at, step + 1)
            scored = score_batches(network, model, parts, processes, settings.loss.equivariance > 0)
            counts = sides.count(scored[0])
            terms = settings.loss(
                scored[0], scored[1] if len(scored) > 1 else None, geometry, processes.average
            )
            loss = torch.stack(list(terms.values())).sum()
            shared = processes.average(torch.cat([torch.stack([t.detach() for t in terms.values()]), counts]))
            values = dict(zip(terms, shared[: len(terms)], strict=True))
            if not is_finite(values):
                received = str({name: float(value) for name, value in values.items()})
                raise TrainingError(
                    f"a finite loss at step {step}", received, "Lower the learning rate; use fp32."
                )
            sides.add(shared[len(terms) :])
            norm = processes.step(loss, settings.clip)

            # ---- log and keep
            if not first:
                continue
            total = float(torch.stack(list(values.values())).sum())
            if step % settings.log_every == 0 or step + 1 == settings.steps:
                row = {"step": step, "loss": total, "gradient_norm": float(norm)}
                row |= {f"loss/{name}": float(value) for name, value in values.items()}
                metrics.append(row | {"learning_rate": learning_rate_at(step, settings)} | sides.shares())
                if writer is not None:
                    for name, value in row.items():
                        writer.add_scalar(name, value, step)
            if progress is not None:
                progress(step + 1, settings.steps, f"loss {total:.3f}")
            if (step + 1) % settings.checkpoint_every == 0 and step + 1 < settings.steps:
                state = {"step": step + 1, "metrics": metrics, "sides": sides.state()}
                save_training_state(work, model, optimizer, state | {"scaler": processes.state()})
                _check_sides(sides, level, say)

    # ---- write
    if not first:
        return
    if writer is not None:
        writer.close()
    pd.DataFrame(metrics).to_parquet(out / "metrics.parquet", index=False)
    summary = {"steps": settings.steps, "instances": len(real), **_check_sides(sides, level, say)}
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    model.eval()
    save_model(out, model, {**config, "train": asdict(settings)})
    if progress is not None:
        progress(settings.steps, settings.steps, f"trained in {time.perf_counter() - started:.0f} s")


def _check_sides(sides: SideCounter, level: TrainingLevel, say: Say | None) -> dict[str, Any]:
    """The shares and verdict on collapse, said to the user if it is bad; nothing on a template without symmetry."""
    if not level.symmetric:
        return {}
    summary = summarise_sides(sides.shares())
    if summary["collapsed_to_one_side"] and say is not None:
        say(collapse_warning(summary))
    return summary


def _tensorboard(out: Path) -> Any:
    from ..errors import DependencyError

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise DependencyError(
            "the tensorboard package", "none", "Install densecorr[tensorboard], or leave tensorboard = false."
        ) from error
    return SummaryWriter(str(out / "tensorboard"))
