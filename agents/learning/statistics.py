"""What an iteration of learning reports: returns and lengths of the episodes that ended, metrics and losses."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.errors import Diverged
from ..core.agent import Report
from ..core.processes import ALONE, Processes

WINDOW = 100  # episodes that a reported return is a mean of, at least

Numbers = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]
"""Returns, lengths and count of the episodes that ended, each summed, (3,); metrics and losses by name, each ()."""


class Outcomes(Protocol):
    """What `EpisodeStatistics` reads of T steps of B environments."""

    @property
    def reward(self) -> Tensor:
        """(T, B)."""

    @property
    def metrics(self) -> dict[str, Tensor]:
        """Named (T, B) values, NaN where there is none."""

    @property
    def done(self) -> Tensor:
        """(T, B) bool: an episode ended with this step."""


class EpisodeStatistics:
    """Returns and lengths of the episodes that end, kept on the device and read once per iteration.

    Args:
        num_envs: B, environments of this process.
        device: where they are kept.
        processes: those whose episodes count.

    Attributes:
        running: (2, B) return and length of the current episodes.
        recent: of the last iterations, as many as 100 episodes ended in: their returns and lengths, each summed, and
            their number.
        iterations: reports made so far.
    """

    def __init__(self, num_envs: int, device: torch.device, processes: Processes = ALONE) -> None:
        self.processes = processes
        self.running = torch.zeros(2, num_envs, dtype=torch.float32, device=device)
        self.recent: list[tuple[float, float, float]] = []
        self.iterations = 0

    def gather(self, rollout: Outcomes, losses: dict[str, Tensor]) -> Numbers:
        """The numbers of an iteration, left on the device; losses are those of all processes already."""
        gained = torch.stack([rollout.reward, torch.ones_like(rollout.reward)])  # (2, T, B)
        closed = rollout.done.flip(0).cumsum(0).flip(0) > 0  # (T, B) the step's episode ends within the rollout
        ended = (gained * closed).sum(1) + self.running * closed[0]  # (2, B)
        self.running = (gained * ~closed).sum(1) + self.running * ~closed[0]
        total = torch.cat([ended.sum(1), rollout.done.sum(dtype=ended.dtype).reshape(1)])
        sums = [values.nansum() for values in rollout.metrics.values()]
        counts = [(~values.isnan()).sum(dtype=ended.dtype) for values in rollout.metrics.values()]
        self.processes.add([total, *sums, *counts])
        metrics = {name: sums[k] / counts[k] for k, name in enumerate(rollout.metrics)}
        return total, metrics, losses

    def report(self, steps: int, numbers: Numbers) -> Report:
        """What `Agent.learn` yields: episodes that ended, mean return and length, metrics and losses.

        The means are over the last iterations in which 100 episodes ended, or over all; before the first episode ends
        they are left out, as is a metric without a value. It is the one place where an iteration reads from the device.

        Raises:
            Diverged: a loss is NaN or infinite.
        """
        self.iterations += 1
        sums, metrics, losses = numbers
        each = [value.detach().to(sums.dtype) for value in (*metrics.values(), *losses.values())]
        total, length, episodes, *rest = torch.cat([sums, torch.stack(each)] if each else [sums]).tolist()
        named = dict(zip([*metrics, *losses], rest, strict=True))
        for name in losses:
            if not math.isfinite(named[name]):
                raise Diverged(self.iterations, name, named[name])
        report = {"steps": float(steps), "episodes": episodes}
        if episodes:
            self.recent.append((total, length, episodes))
        while sum(count for *_, count in self.recent[1:]) >= WINDOW:
            del self.recent[0]
        if self.recent:
            total, length, count = map(sum, zip(*self.recent, strict=True))
            report |= {"return": total / count, "length": length / count}
        return report | {name: value for name, value in named.items() if name in losses or not math.isnan(value)}


def saved(statistics: EpisodeStatistics) -> dict[str, Tensor]:
    """Tensors for a checkpoint, of the environments of all processes."""
    running = statistics.processes.gather(statistics.running.clone(), 1)
    return {"running": running, "recent": torch.tensor(statistics.recent, dtype=torch.float64)}


def restored(state: dict[str, Tensor], device: torch.device, processes: Processes = ALONE) -> EpisodeStatistics:
    """Statistics that go on from `saved` ones."""
    running = processes.own(state["running"].to(device), 1)
    statistics = EpisodeStatistics(running.shape[1], device, processes)
    statistics.running = running
    statistics.recent = [tuple(sums) for sums in state["recent"].tolist()]
    return statistics


def continued_statistics(
    statistics: EpisodeStatistics | None, env: BatchedEnvironment, processes: Processes = ALONE
) -> EpisodeStatistics:
    """The statistics with which learning goes on in environments as they stand; fresh ones for another number of them.

    Environments that were never reset are.
    """
    if not env.started:
        env.reset()
    if statistics is None or statistics.running.shape[1] != env.num_envs:
        statistics = EpisodeStatistics(env.num_envs, env.device, processes)
    statistics.running = statistics.running * ~env.episode_start  # someone may have reset them
    return statistics
