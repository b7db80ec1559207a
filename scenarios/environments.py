"""A scenario's environments, and the returns that its scores are normalised with."""

from __future__ import annotations

import math
from typing import Any

from gymnasium.vector import AutoresetMode

from ..envs.adapters.batched import BatchedEnv
from ..envs.adapters.bridge import GymnasiumBridge
from ..envs.registry import ids, is_task, make_task
from ..envs.score_table import scores
from ..neural_blocks.errors import InvalidInput, unknown_name
from .catalogue import Scenario, Validation
from .statistics import normalised

RESERVED = ("id", "num_envs", "device", "seed", "self")
"""What a scenario's options may not be called: the protocol decides them."""


def reference(scenario: Scenario) -> Any:
    """The returns that count as 0 and 1, with fields `floor` and `expert`; None where they are not known."""
    if scenario.reference is not None or not is_task(scenario.environment):
        return scenario.reference
    return scores(scenario.environment, **scenario.evaluation_options)


def score(scenario: Scenario, value: float) -> float | None:
    """The normalised return, 0 for `Scores.floor` and 1 for the expert; None where the two are not known."""
    known = reference(scenario)
    found = math.nan if known is None else normalised(value, known.floor, known.expert)
    return None if math.isnan(found) else found


def with_validation(scenario: Scenario) -> Scenario:
    """The scenario with its validation made explicit: on the validation split where the environment has one."""
    if scenario.validation is not None or not is_task(scenario.environment):
        return scenario.model_copy(update={"validation": scenario.validation or Validation()})
    try:
        make_task(scenario.environment, **{**scenario.options, "split": "validation"})
    except (InvalidInput, TypeError):
        return scenario.model_copy(update={"validation": Validation()})
    return scenario.model_copy(update={"validation": Validation(options={"split": "validation"})})


def make_environment(
    scenario: Scenario,
    num_envs: int,
    *,
    device: str = "cpu",
    seed: int = 0,
    evaluation: bool = False,
    options: dict[str, Any] | None = None,
    watched: bool = False,
    drawn: bool | None = None,
) -> Any:
    """The scenario's environments as a batch: a `BatchedEnv`, or a `GymnasiumBridge` for a foreign id.

    Args:
        scenario: names the id and the options.
        num_envs: B.
        device: where the tensors live.
        seed: of row 0.
        evaluation: with the options of the evaluation.
        options: instead of the scenario's own or those of the evaluation.
        watched: an ended episode stays in sight until it is reset (but in a bridge).
        drawn: a bridge renders frames; None for where it is watched.

    Raises:
        InvalidInput: an unknown id or option, or a value that is not allowed.
    """
    id = scenario.environment
    if options is None:
        options = scenario.evaluation_options if evaluation else scenario.options
    for name in RESERVED:
        if name in options:
            raise InvalidInput(f"{scenario.name}: {id} cannot be given the option {name!r}: the scenario decides it")
    if is_task(id):
        mode = AutoresetMode.DISABLED if watched else AutoresetMode.SAME_STEP
        return BatchedEnv(make_task(id, **options), num_envs, device=device, seed=seed, autoreset=mode)
    if id.startswith("palaestra/"):
        raise unknown_name("environment id", id, ids())
    if watched if drawn is None else drawn:
        options = {"render_mode": "rgb_array", **options}
    return GymnasiumBridge(id, num_envs, device=device, seed=seed, **options)
