"""A scenario's environments, and the returns that its scores are normalised with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gymnasium.vector import AutoresetMode

from ..envs.batched import BatchedEnv
from ..envs.bridge import GymnasiumBridge
from ..envs.registry import ids, make_task
from ..envs.score_table import scores
from ..neural_blocks.errors import unknown_name
from .catalogue import Scenario


@dataclass(frozen=True)
class Reference:
    """Returns that stand for 0 and 1 on the normalised scale; NaN where there are none."""

    random: float
    expert: float

    def normalise(self, value: float) -> float | None:
        """(return - random) / (expert - random), or None without a reference."""
        score = (value - self.random) / (self.expert - self.random)
        return None if math.isnan(score) else score


def reference(scenario: Scenario) -> Reference:
    """The random and expert return of the environment that the scenario evaluates in."""
    if scenario.environment not in ids():
        return Reference(math.nan, math.nan)
    found = scores(scenario.environment, **scenario.evaluation_options)
    return Reference(found.random, found.expert)


def make_environment(
    scenario: Scenario,
    num_envs: int,
    *,
    device: str = "cpu",
    seed: int = 0,
    evaluation: bool = False,
    watched: bool = False,
) -> Any:
    """The scenario's environments as a batch: a `BatchedEnv`, or a `GymnasiumBridge` for an id that is not this suite's.

    Args:
        scenario: names the id and the options.
        num_envs: B.
        device: where the tensors live.
        seed: of row 0.
        evaluation: with the options of the evaluation.
        watched: an ended episode stays in sight until it is reset (a bridge renders frames instead).

    Raises:
        InvalidInput: an unknown id or option, or a value that is not allowed.
    """
    id, options = scenario.environment, scenario.evaluation_options if evaluation else scenario.options
    if id in ids():
        mode = AutoresetMode.DISABLED if watched else AutoresetMode.SAME_STEP
        return BatchedEnv(make_task(id, **options), num_envs, device=device, seed=seed, autoreset=mode)
    if id.startswith("palaestra/"):
        raise unknown_name("environment id", id, ids())
    if watched:
        options = {"render_mode": "rgb_array", **options}
    return GymnasiumBridge(id, num_envs, device=device, seed=seed, **options)
