"""The temperature of an agent's probabilities, fitted on episodes that it has not learned from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.robustness.calibration import TemperatureScaling
from ..core.evaluation import evaluate, time_limit
from .answers import right_classes

LABELS = 1024  # that a temperature is fitted to, at least
LOGARITHM = 3.0  # of the temperature, at most either way: answers that are all right would want it to be 0


def fit_temperature(agent: Any, env: BatchedEnvironment, seed: int = 0) -> float:
    """Plays greedy episodes and sets `agent.scaling` to the temperature that makes the right classes likeliest.

    Args:
        agent: with the setting `temperature_scaling`.
        env: with an expert and a time limit, of a split that was not learned from.
        seed: of the episodes; the agent's own random choices go on as if they had not been.

    Returns:
        The temperature, from 0.05 to 20.

    Raises:
        InvalidInput: environments without an expert or a time limit.
    """
    fitting, length = _Fitting(agent), time_limit(env) or 1
    evaluate(agent, env, math.ceil(LABELS / length), seed=seed, aside=fitting)
    with torch.no_grad():
        agent.scaling.log_temperature.fill_(fitting.logarithm)
    return math.exp(fitting.logarithm)


class _Fitting:
    """An `Aside` that fits a temperature to what it has noted: the right class and the logits without one."""

    logarithm = 0.0

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def row(self, env: BatchedEnvironment, memory: tuple[Tensor, ...]) -> Tensor:
        label = right_classes(self.agent, env)
        with self.agent.acting():
            logits, *_ = self.agent.network.act(env.observation, memory, env.episode_start)
        return torch.cat([label.unsqueeze(1), logits], 1)

    def metrics(self, rows: Tensor) -> dict[str, float]:
        scaling = TemperatureScaling().double()
        scaling.fit(rows[:, 1:].double(), rows[:, 0].long())
        found = float(scaling.log_temperature)
        self.logarithm = min(max(found, -LOGARITHM), LOGARITHM) if math.isfinite(found) else 0.0
        return {}
