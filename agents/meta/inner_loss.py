"""The two inner losses of MAML: the answers that a task shows, and the policy gradient of a trial's rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...envs.core.task import Observation
from ..classical.bandit import require_trial
from ..networks.heads import distribution
from .answers import OF_THE_TRIAL, answers

RIDGE = 1e-3  # keeps the linear baseline's equations solvable


@dataclass(frozen=True)
class Block:
    """S steps of B trials between two adaptations.

    Attributes:
        inputs: (B, S, ...) what the network saw, or its encoding (B, S, F), which for vectors is the same.
        action: (B, S, n) or (B, S) its raw actions.
        outcome: (B, S, O) what the observation after each step told of it.
        start: (B, S) bool, the first step of an episode.
    """

    inputs: Any
    action: Tensor
    outcome: Tensor
    start: Tensor


class Lesson(NamedTuple):
    """What a block teaches: the loss is the mean over its steps of weight times the loss at the target.

    Attributes:
        inputs: (B, S, ...).
        target: (B, S, ...) answers, or raw actions.
        weight: (B, S).
        start: (B, S) bool, the first step of an episode; None where nobody asks.
    """

    inputs: Any
    target: Tensor
    weight: Tensor
    start: Any = None


class Supervised:
    """The loss at the answers that the task shows; steps whose answer is not shown do not count."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.answers = answers("maml", observation_space, action_space)
        self.input_space, self.output_size = self.answers.question_space, self.answers.size
        self.outcome_size, self.noise = self.output_size + 1, 0
        self.parameters: list[nn.Parameter] = []

    def inputs(self, observation: Observation) -> Observation:
        """(B, ...) the question."""
        return self.answers.question(observation)

    def outcome(self, observation: Observation) -> Tensor:
        """(B, A + 1) the last answer, and whether it is shown."""
        answer, known = self.answers.shown(observation)
        return torch.cat([answer, known.unsqueeze(-1)], -1)

    def mode(self, output: Tensor) -> Tensor:
        """(B, A) the raw action is the network's output."""
        return output

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """(B, A) the same: there is nothing to explore."""
        return output

    def to_env(self, raw: Tensor) -> Tensor:
        """(B, ...) the answer given."""
        return self.answers.to_env(raw)

    def lesson(self, block: Block) -> Lesson:
        """Each known answer weighs the same."""
        known = block.outcome[..., -1]
        share = known.mean(-1, keepdim=True).clamp(min=1 / known.shape[-1])
        return Lesson(block.inputs, block.outcome[..., :-1], known / share, block.start)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """(...) squared error, or cross-entropy."""
        return self.answers.loss(output, target)


class PolicyGradient:
    """Minus the advantage times the action's log-probability (Williams, 1992).

    The advantage is the discounted reward to go less a linear baseline fitted to the block (Duan et al., 2016,
    benchmarking), with zero mean and unit deviation in each block.

    Args:
        observation_space: of a `Trial`.
        action_space: of the task.
        gamma: discount.
        device: where the policy's own parameters live: the deviations of a Box. Adaptation leaves them alone.
    """

    outcome_size = 1

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Space[Any],
        gamma: float,
        device: torch.device,
    ) -> None:
        require_trial("maml", observation_space)
        parts = {name: part for name, part in observation_space.items() if name not in OF_THE_TRIAL}
        self.input_space = parts.get("observation", spaces.Dict(parts))
        self.vectors = isinstance(self.input_space, spaces.Box) and len(self.input_space.shape) == 1
        self.policy = distribution(action_space).to(device)
        self.output_size, self.noise, self.gamma = self.policy.size, self.policy.noise, gamma
        self.parameters = [*self.policy.parameters()]

    def inputs(self, observation: Any) -> Observation:
        """(B, ...) the task's own observation."""
        own = {name: part for name, part in observation.items() if name not in OF_THE_TRIAL}
        return own.get("observation", own)

    def outcome(self, observation: Any) -> Tensor:
        """(B, 1) the last reward."""
        return observation["previous_reward"]

    def mode(self, output: Tensor) -> Tensor:
        """(B, ...) the most probable raw actions."""
        return self.policy.mode(output)

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """(B, ...) random raw actions from uniforms (B, noise)."""
        return self.policy.sample(output, noise)

    def to_env(self, raw: Tensor) -> Tensor:
        """(B, ...) the action of the space."""
        return self.policy.to_env(raw)

    def lesson(self, block: Block) -> Lesson:
        """Each action weighs its advantage."""
        reward = block.outcome[..., 0]  # (B, S)
        to_go = _reward_to_go(reward, block.start, self.gamma)
        advantage = to_go - _linear_baseline(block.inputs if self.vectors else None, block.start, to_go)
        centred = advantage - advantage.mean(-1, keepdim=True)
        deviation = centred.square().mean(-1, keepdim=True).sqrt()
        return Lesson(block.inputs, block.action, centred / (deviation + 1e-6), block.start)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """(...) minus the log-probability of the raw actions."""
        return -self.policy.log_prob(output, target)


def dice(log_prob: Tensor, weight: Tensor, start: Tensor) -> Tensor:
    """(N, S) the weights, so multiplied by 1 that all derivatives of their sum are the policy's own, in expectation.

    Each weight depends on the actions of its episode up to it (Foerster et al., 2018); as an advantage, on the last of
    them more than on those before (Farquhar et al., 2019). The first derivative is weight times that of the
    log-probability; the value is 0.

    Args:
        log_prob: (N, S) of the actions.
        weight: (N, S) their advantages.
        start: (N, S) bool, the first step of an episode.
    """
    total = log_prob.cumsum(1)
    steps = torch.arange(start.shape[1], device=start.device)
    first = (steps * start).cummax(1).values
    upto = total - (total - log_prob).gather(1, first)  # the log-probability of the episode's actions so far
    one = lambda value: (value - value.detach()).exp()  # noqa: E731
    return weight * (one(upto) - one(upto - log_prob))


def _reward_to_go(reward: Tensor, start: Tensor, gamma: float) -> Tensor:
    """(B, S) discounted sums of the rewards (B, S) from each step to the end of its episode."""
    later, sums = torch.zeros_like(reward[:, 0]), []
    for time in range(reward.shape[1] - 1, -1, -1):
        later = reward[:, time] + gamma * later
        sums.append(later)
        later = later.masked_fill(start[:, time], 0)
    return torch.stack(sums[::-1], 1)


def _linear_baseline(vectors: Tensor | None, start: Tensor, to_go: Tensor) -> Tensor:
    """(B, S) least squares of the rewards to go on powers of the time in the episode and of vectors (B, S, F)."""
    steps = torch.arange(start.shape[1], device=start.device).expand(start.shape)
    time = (steps - (steps * start).cummax(1).values) / start.shape[1]  # (B, S) in [0, 1)
    features = [torch.ones_like(time), time, time**2, time**3]
    if vectors is not None:
        each = vectors.to(time.dtype).unbind(-1)
        features += [*each, *(part.square() for part in each)]
    x = torch.stack(features, -1)  # (B, S, F)
    x = x / x.abs().amax(1, keepdim=True).clamp(min=1e-6)  # of one size, whatever their units
    normal = x.mT @ x + RIDGE * torch.eye(x.shape[-1], device=x.device)
    return (x @ torch.linalg.solve(normal, x.mT @ to_go.unsqueeze(-1))).squeeze(-1)
