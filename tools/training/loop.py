"""The loop that the three recipes share: time budget, learning rate, averaging, checkpoints, log."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dmap import tensorfile

LOG_SECONDS = 20.0


@dataclass(frozen=True)
class LoopSettings:
    """Budget and optimiser.

    Attributes:
        minutes: training time, over all runs that resume one another.
        rate: peak learning rate of Adam; it rises over 50 steps and falls to 0 as half a cosine over the minutes.
        decay: of the exponential moving average of the weights.
        save_minutes: between checkpoints.
        most_steps: stop after so many steps even if there is time.
        bf16: networks run in bfloat16 under autocast; weights and optimiser stay in fp32.
        start: a finished model to train further, where there is no checkpoint to resume from.
        device: where networks are trained; what is exported lies on the CPU.
        batch: crops a step, None for the recipe's own number, which suits two cores.
        workers: processes that degrade crops beside the training, 0 for none.
    """

    minutes: float
    rate: float = 4e-4
    decay: float = 0.999
    save_minutes: float = 7.0
    most_steps: int = 10**9
    bf16: bool = False
    start: Path | None = None
    device: str = "cpu"
    batch: int | None = None
    workers: int = 0


class Loop:
    """Trains a network on a loss; resumes from the checkpoint in its folder.

    Args:
        network: what is trained.
        folder: of checkpoint and log.
        settings: budget and optimiser.
        export: called at each checkpoint with the averaged network, on the CPU, its own to change.
    """

    def __init__(
        self, network: nn.Module, folder: Path, settings: LoopSettings, export: Callable[[nn.Module, int], None]
    ) -> None:
        self.network, self.settings, self.export = network.to(settings.device), settings, export
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate, betas=(0.9, 0.99))
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.safetensors"
        self.step, self.seconds = 0, 0.0
        if self.checkpoint.exists():
            self._resume()

    def run(self, loss: Callable[[nn.Module, int], Tensor]) -> None:
        """Train until the budget is spent. ``loss(network, step)`` draws its own batch."""
        began, logged, saved, window = time.monotonic() - self.seconds, 0.0, time.monotonic(), []
        budget = self.settings.minutes * 60
        while self.seconds < budget and self.step < self.settings.most_steps:
            for group in self.optimiser.param_groups:
                group["lr"] = self._rate(self.seconds / budget)
            with torch.autocast(self.settings.device, torch.bfloat16, enabled=self.settings.bf16):
                value = loss(self.network, self.step)
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimiser.step()
            self._average()
            self.step += 1
            self.seconds = time.monotonic() - began
            window.append(value.detach())
            if self.seconds - logged > LOG_SECONDS:
                logged = self.seconds
                mean = float(torch.stack(window).mean())
                print(f"step {self.step} minutes {self.seconds / 60:.1f} loss {mean:.5f}", flush=True)
                window.clear()
            if time.monotonic() - saved > self.settings.save_minutes * 60:
                saved = time.monotonic()
                self.save()
        self.save()

    def _rate(self, progress: float) -> float:
        warm = min(1.0, (self.step + 1) / 50)
        return self.settings.rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))

    def _average(self) -> None:
        decay = min(self.settings.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
            for kept, now in zip(self.average.buffers(), self.network.buffers(), strict=True):
                kept.copy_(now)

    def save(self) -> None:
        """Write the checkpoint atomically and export the averaged network."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
        meta = {"loop": json.dumps({"step": self.step, "seconds": self.seconds})}
        tensorfile.write(self.checkpoint, tensors, meta)
        self.export(copy.deepcopy(self.average).cpu(), self.step)

    def _resume(self) -> None:
        tensors, header = tensorfile.read(self.checkpoint, "checkpoint", "delete it to begin anew")
        meta = json.loads(header["loop"])

        def part(prefix: str) -> dict[str, Tensor]:
            return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}

        self.network.load_state_dict(part("network."))
        self.average.load_state_dict(part("average."))
        state = self.optimiser.state_dict()
        for key, value in part("adam.").items():
            index, name = key.split(".", 1)
            state["state"].setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(state)
        self.step, self.seconds = meta["step"], meta["seconds"]
