"""Bandit algorithms: greedy, ε-greedy, UCB1 and Thompson sampling on counts of what each arm paid."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import where
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Agent, Memory
from ..core.config import AgentConfig
from ..core.randomness import ACT
from .dirichlet import GAMMA_NOISE, dirichlet


class Record(NamedTuple):
    """The sufficient statistics of a trial so far.

    Attributes:
        pulls: (B, K) float32 how often each arm was pulled.
        wins: (B, K) float32 what it paid in all.
        begun: (B,) bool, whether an arm was pulled since the trial's start.
    """

    pulls: Tensor
    wins: Tensor
    begun: Tensor

    @property
    def mean(self) -> Tensor:
        """(B, K) what each arm is expected to pay, after a Beta(1, 1) prior: one success and one failure."""
        return (self.wins + 1) / (self.pulls + 2)


class BanditAgent(Agent):
    """Pulls the arm of the highest index. Subclasses say what the index is.

    Nothing is learned before the trial: its own arms and rewards, which a `Trial` shows in the observation, are all it
    goes by. They are counted in the memory, which is wiped where a trial starts. Rewards are taken as payments from
    0 to 1. A method that draws random numbers draws them when it is evaluated too: exploring is what is scored.

    Raises:
        InvalidInput: observations other than a trial's, or actions that are not Discrete.
    """

    on_device: ClassVar = True
    observation_spaces: ClassVar = (spaces.Dict,)
    action_spaces: ClassVar = (spaces.Discrete,)
    observation_space: spaces.Dict
    action_space: spaces.Discrete

    def build(self) -> None:
        """Checks the spaces; there is no network."""
        require_trial(self.name, self.observation_space)
        self.arms, self.first = int(self.action_space.n), int(self.action_space.start)

    @abstractmethod
    def index(self, record: Record) -> Tensor:
        """(B, K) how much each arm is worth pulling."""

    def initial_memory(self, num_envs: int) -> Memory:
        """No pulls."""
        zero = torch.zeros(num_envs, self.arms, dtype=torch.float32, device=self.device)
        return Record(zero, zero, torch.zeros(num_envs, dtype=torch.bool, device=self.device))

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The arm of the highest index (B,), the first of equals; see `Agent.act`."""
        assert isinstance(observation, dict)
        action, reward = observation["previous_action"] - self.first, observation["previous_reward"]
        blank = self.initial_memory(len(action))
        pulls, wins, begun = (memory or blank) if start is None else where(start, blank, memory or blank)
        last = (action[:, None] == torch.arange(self.arms, device=self.device)) * begun[:, None].float()  # (B, K)
        record = Record(pulls + last, wins + last * reward.clamp(0, 1), torch.ones_like(begun))
        return self.index(record).argmax(1) + self.first, record


class Greedy(BanditAgent):
    """The arm that has paid best so far, after a Beta(1, 1) prior (Duan et al., 2016, section 3.1)."""

    name = "greedy"

    def index(self, record: Record) -> Tensor:
        """The posterior mean."""
        return record.mean


class EpsilonGreedyConfig(AgentConfig):
    """Settings of ε-greedy.

    Attributes:
        epsilon: the chance of a random arm.
    """

    epsilon: float = Field(0.01, ge=0, le=1)


class EpsilonGreedy(BanditAgent):
    """A random arm with a chance of ε, else the greedy one (Sutton and Barto, 2018, section 2.2)."""

    name = "epsilon_greedy"
    Config: ClassVar[type[AgentConfig]] = EpsilonGreedyConfig

    def index(self, record: Record) -> Tensor:
        """The posterior mean, or random numbers."""
        count, arms = record.pulls.shape
        noise = self.randomness.uniform(ACT, count, 1 + arms)
        return torch.where(noise[:, :1] < self.config.epsilon, noise[:, 1:], record.mean)


class UCB1Config(AgentConfig):
    """Settings of UCB1.

    Attributes:
        width: c, the width of the confidence bound; 1 in the original, less is better over few pulls.
    """

    width: float = Field(0.2, ge=0)


class UCB1(BanditAgent):
    """The highest upper confidence bound (Auer, Cesa-Bianchi and Fischer, 2002).

    The bound is mean + c √(2 ln t / m) with t the number of the pull, counted from 1, and m the arm's pulls; as in Duan
    et al. (2016) both the mean and m start from the Beta(1, 1) prior, one success and one failure.
    """

    name = "ucb1"
    Config: ClassVar[type[AgentConfig]] = UCB1Config

    def index(self, record: Record) -> Tensor:
        """The upper confidence bound."""
        time = record.pulls.sum(1, keepdim=True) + 1
        return record.mean + self.config.width * (2 * time.log() / (record.pulls + 2)).sqrt()


class Thompson(BanditAgent):
    """The arm that is best in a sample from the Beta posterior (Thompson, 1933), after a Beta(1, 1) prior."""

    name = "thompson"

    def index(self, record: Record) -> Tensor:
        """A sample of each arm's chance."""
        posterior = torch.stack([record.wins, record.pulls - record.wins], -1) + 1  # (B, K, 2)
        noise = self.randomness.uniform(ACT, len(posterior), posterior[0].numel() * GAMMA_NOISE)
        return dirichlet(posterior, noise.view(*posterior.shape, GAMMA_NOISE))[..., 0]


def require_trial(name: str, space: spaces.Dict) -> None:
    """Refuses observations other than a trial's: the agent goes by its last action and reward."""
    if not {"previous_action", "previous_reward", "episode_start"} <= set(space):
        raise InvalidInput(
            f"{name}: observation space must be a trial's, with 'previous_action', 'previous_reward' and "
            f"'episode_start'; got {', '.join(map(repr, space))}"
        )
