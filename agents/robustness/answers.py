"""What evaluations note of an agent that answers with a class: how robust and how sure its answers are."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import NoExpert
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.robustness.adversarial import fgsm, pgd, random_in_ball
from ...neural_blocks.robustness.calibration import (
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from ..core.config import AgentConfig
from ..core.randomness import UPDATE
from .adversarial import REACH, answering
from .images import ImageRows


class AnswersConfig(AgentConfig):
    """What evaluations tell of one Discrete action, the class, beside the task's metrics; the expert's is right.

    Attributes:
        robust_attack: evaluations tell robust_accuracy, the share of steps whose answer is right and stays right under
            an attack on the image that knows the network: "fgsm" (Goodfellow et al., 2015), or "pgd" from a random
            place (Madry et al., 2018); without a memory. Null for none.
        robust_epsilon: how far that attack moves each value of an image, as a share of its range; of a row
            without bounds in its own unit.
        robust_steps: of "pgd".
        reliability_bins: in which answers are sorted by the probability that they were given with. Evaluations tell ece
            and mce, the mean and largest gap between that and the share of right ones (Naeini et al., 2015), brier, and
            of each bin confidence_k, right_k and share_k, k from 1; 0 for none of it.
        temperature_scaling: divide logits by a temperature (Guo et al., 2017), which is fitted on validation episodes
            whenever training looks at them, by `Agent.settle`, and saved with the agent. It changes probabilities, and
            actions that are drawn from them, but no greedy action.
    """

    robust_attack: Literal["fgsm", "pgd"] | None = None
    robust_epsilon: float = Field(0.1, ge=0, le=1)
    robust_steps: int = Field(20, ge=1, le=1000)
    reliability_bins: int = Field(0, ge=0, le=1000)
    temperature_scaling: bool = False


class Answers:
    """An `Aside`: right class, logits and the answer under attack at each step.

    Args:
        agent: a `PolicyAgent` with a Discrete action.

    Raises:
        InvalidInput: an agent whose action, observation or memory is not for what it is to tell.
    """

    def __init__(self, agent: Any) -> None:
        config, name = agent.config, agent.name
        require_classes(agent)
        self.agent, self.images = agent, None
        if config.robust_attack is not None:
            if config.memory is not None:
                raise InvalidInput(f"{name}: robust_attack must be null with a memory; got {config.robust_attack!r}")
            self.images = ImageRows(name, agent.observation_space)

    def row(self, env: BatchedEnvironment, memory: tuple[Tensor, ...]) -> Tensor:
        """(B, 1 + K + 1): the right class, the K logits, and the class under attack, -1 without one."""
        label = right_classes(self.agent, env)
        with self.agent.acting():
            logits = self.agent.parameters_of(env.observation, memory, env.episode_start)[0]
            attacked = torch.full_like(label, -1) if self.images is None else self._attacked(env, label)
        return torch.cat([label.unsqueeze(1), logits, attacked.unsqueeze(1)], 1)

    def _attacked(self, env: BatchedEnvironment, label: Tensor) -> Tensor:
        assert self.images is not None
        config, observation = self.agent.config, env.observation
        x = self.images.rows(observation)
        model = answering(self.agent.network, self.images, observation, env.episode_start)
        bounds = self.images.bounds
        if config.robust_attack == "fgsm":
            found = fgsm(model, x, label, config.robust_epsilon, bounds=bounds)
        else:
            seed = self.agent.acting_randomness.integers(UPDATE, 1, 1, 2**31)[0, 0]
            start = random_in_ball(x, config.robust_epsilon, seed=seed)
            step = REACH * config.robust_epsilon / config.robust_steps
            settings: dict[str, Any] = {"step_size": step, "steps": config.robust_steps, "bounds": bounds}
            found = pgd(model, x, label, config.robust_epsilon, start=start, **settings)
        return model(found).argmax(-1)

    def metrics(self, rows: Tensor) -> dict[str, float]:
        """What the settings ask for."""
        if not len(rows):
            return {}
        config, label, logits = self.agent.config, rows[:, 0].long(), rows[:, 1:-1]
        told: dict[str, float] = {}
        if config.robust_attack is not None:
            right = (logits.argmax(-1) == label) & (rows[:, -1].long() == label)  # no attack is within reach too
            told |= {"robust_accuracy": float(right.float().mean()), "robust_epsilon": config.robust_epsilon}
        if config.reliability_bins:
            told |= reliability_metrics(logits.softmax(-1), label, config.reliability_bins)
        return told


def reliability_metrics(probabilities: Tensor, label: Tensor, bins: int) -> dict[str, float]:
    """Errors of calibration, and the bins of the reliability diagram that hold answers, from (N, K) and (N,)."""
    told = {
        "ece": float(expected_calibration_error(probabilities, label, bins)),
        "mce": float(maximum_calibration_error(probabilities, label, bins)),
        "brier": float(brier_score(probabilities, label)),
    }
    for place, (confidence, right, share) in enumerate(zip(*reliability(probabilities, label, bins), strict=True), 1):
        if share > 0:
            told |= {f"confidence_{place}": float(confidence), f"right_{place}": float(right)}
            told[f"share_{place}"] = float(share)
    return told


def require_classes(agent: Any) -> None:
    """Raises `InvalidInput` unless the agent's action is Discrete."""
    if not isinstance(agent.action_space, spaces.Discrete):
        raise InvalidInput(
            f"{agent.name}: robust_attack, reliability_bins and temperature_scaling are for one Discrete action, the "
            f"class; got {agent.action_space}"
        )


def right_classes(agent: Any, env: BatchedEnvironment) -> Tensor:
    """(B,) int64 the expert's classes, as the agent's policy has them. Raises `InvalidInput` where there is none."""
    try:
        right: Tensor = agent.policy.from_env(env.expert_action())
    except NoExpert:
        raise InvalidInput(
            f"{agent.name}: robust_attack, reliability_bins and temperature_scaling need a task with an expert, which "
            f"knows the right class; {env.name} has none"
        ) from None
    return right
