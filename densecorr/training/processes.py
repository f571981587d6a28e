"""One process, or several that share each batch: the same small interface for the training loop.

Accelerate keeps one state for a whole process, and a pipeline trains several models in threads of one process. So
accelerate is used only in processes started for one training (`launch.py`), and `OneProcess` does without it.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from ..features import placement
from .settings import Precision


@runtime_checkable
class Processes(Protocol):
    """What a training loop asks of its process and the others."""

    rank: int
    count: int
    device: torch.device

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Callable:
        """What to call in the model's place; `state` is that of a run before."""
        ...

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the network is computed."""
        ...

    def step(self, loss: Tensor, clip: float) -> Tensor:
        """Gradients of the loss averaged over the processes, clipped, and one optimiser step; their norm."""
        ...

    def average(self, value: Tensor) -> Tensor:
        """The mean of a number (or of several) over the processes, without gradient."""
        ...

    def state(self) -> dict[str, Any]:
        """What besides model and optimiser a run needs to go on, as plain data."""
        ...


class OneProcess:
    """This process alone."""

    rank, count = 0, 1

    def __init__(self, device: torch.device, precision: Precision) -> None:
        self.device = device
        self._dtype = placement.DTYPES[resolve_precision(precision, device)]
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is torch.float16)

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Callable:
        """The model itself."""
        self._model, self._optimizer = model, optimizer
        if state:
            self._scaler.load_state_dict(state)
        return model

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Autocast to half precision, if asked for."""
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not torch.float32)

    def step(self, loss: Tensor, clip: float) -> Tensor:
        """Gradients, clipping, one step; where scaled gradients overflow, the step is left out."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return norm

    def average(self, value: Tensor) -> Tensor:
        """The value."""
        return value

    def state(self) -> dict[str, Any]:
        """The scale of fp16's gradients; nothing otherwise."""
        return self._scaler.state_dict()


class ManyProcesses:
    """One of the processes of a launcher (RANK, WORLD_SIZE and so on in the environment), through accelerate."""

    def __init__(self, device: str, precision: Precision) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        on_cpu = device == "cpu"
        kind = resolve_precision(precision, torch.device(device))
        accelerator: Any = Accelerator(
            cpu=on_cpu,
            mixed_precision="no" if kind == "fp32" else kind,
            # batch statistics are shared as they are computed, so that no buffer needs to be sent
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self._accelerator = accelerator
        self.rank, self.count = int(accelerator.process_index), int(accelerator.num_processes)
        self.device: torch.device = accelerator.device

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> Callable:
        """The model in DistributedDataParallel, with batch statistics over all processes."""
        share_statistics(model)
        self._network, self._optimizer = self._accelerator.prepare(model, optimizer)
        if state and self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state)
        return self._network

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Accelerate's."""
        return self._accelerator.autocast()

    def step(self, loss: Tensor, clip: float) -> Tensor:
        """As OneProcess; DistributedDataParallel averages the gradients."""
        self._optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        norm = self._accelerator.clip_grad_norm_(self._network.parameters(), clip)
        self._optimizer.step()
        return torch.as_tensor(norm)

    def average(self, value: Tensor) -> Tensor:
        """The mean over all processes."""
        reduced: Any = self._accelerator.reduce(value.detach().clone(), reduction="mean")
        return reduced

    def state(self) -> dict[str, Any]:
        """The scale of fp16's gradients; nothing otherwise."""
        scaler = self._accelerator.scaler
        return {} if scaler is None else scaler.state_dict()


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the crops of all processes, on any device (torch's own needs a GPU)."""

    def forward(self, input: Tensor) -> Tensor:
        """As BatchNorm2d on the whole batch."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        x = input.float()
        count = x.new_full((1,), x.numel() / x.shape[1])
        sums: Tensor = _SumOverProcesses.apply(
            torch.cat([x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3)), count])
        )  # pyright: ignore
        total = sums[-1]
        mean, square = (sums[:-1] / total).chunk(2)
        var = (square - mean.square()).clamp(min=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(var * total / (total - 1), self.momentum or 0.0)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(input.dtype)


class _SumOverProcesses(torch.autograd.Function):
    """A sum over all processes; the gradient of each one's part is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.clone()
        torch.distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.forward(ctx, gradient)


def share_statistics(module: nn.Module) -> None:
    """Let every BatchNorm2d in a module count the crops of all processes; parameters stay the same objects."""
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = SharedBatchNorm


def part_of(n: int, processes: Processes) -> slice:
    """This process's part of n things."""
    return slice(processes.rank * n // processes.count, (processes.rank + 1) * n // processes.count)


def resolve_precision(precision: Precision, device: torch.device) -> placement.Precision:
    """The precision that 'auto' stands for on a device.

    Raises:
        SettingsError: fp16 on a CPU.
    """
    if precision == "fp16" and device.type != "cuda":
        raise SettingsError("fp32 or bf16 on a CPU", "fp16", "Correct `precision`, or train on a GPU.")
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bf16()
    return "bf16" if fast else "fp32"


def has_fast_bf16() -> bool:
    """Whether the processor multiplies bfloat16 quicker than float32: AMX or AVX-512 BF16 (1.6 times, measured)."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def memory_format(device: torch.device) -> torch.memory_format:
    """How weights and images lie in memory: channels last, which is quicker.

    Not on processors that torch uses with AVX2 alone: there, the backward pass of such convolutions in torch 2.13 was
    seen to write past its memory and end the process.
    """
    safe = device.type != "cpu" or torch.backends.cpu.get_cpu_capability() not in ("AVX2", "DEFAULT")
    return torch.channels_last if safe else torch.contiguous_format
