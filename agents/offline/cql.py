"""Conservative Q-learning (Kumar et al., 2020): soft actor-critic on recorded steps, with values kept low elsewhere."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..core.config import AgentConfig
from ..learning.losses import ErrorKind
from ..networks.network_config import NetworkConfig
from ..value.sac import SAC
from .learner import OfflineAgent, OfflineConfig
from .recorded import Steps


class CQLConfig(OfflineConfig, NetworkConfig):
    """Settings of conservative Q-learning beside the networks'.

    Attributes:
        conservatism: weight of how far the values of all actions, by their log-mean-exponential, exceed those of
            recorded ones: 0 is soft actor-critic.
        sampled_actions: actions of each of three kinds from which that is estimated: random ones, and the policy's own
            in the state and in the next.
        value_error: how far a value is off, see `losses.value_error`.
    """

    head: ClassVar[str] = "gaussian"
    conservatism: float = Field(5.0, ge=0)
    sampled_actions: int = Field(10, ge=1, le=1000)
    value_error: ErrorKind = "squared"


class CQL(OfflineAgent, SAC):
    """Conservative Q-learning: soft actor-critic that is not misled by actions nobody has tried.

    What was never recorded may be valued too high, and no step of its own would ever tell. So each critic is held down
    everywhere, and up again at recorded actions: equation 4 of the paper, CQL(H), on both critics of `SAC`.
    """

    name = "cql"
    Config: ClassVar[type[AgentConfig]] = CQLConfig  # type: ignore[assignment]
    numbers = ("policy_loss", "value_loss", "entropy", "temperature", "gradient_norm")

    def build(self) -> None:
        """What soft actor-critic has; its critics' loss takes more noise."""
        super().build()
        self.critic_noise = self.size * (1 + 3 * self.config.sampled_actions)

    def raw(self, label: Tensor) -> Tensor:
        """(N, D) in [-1, 1]."""
        return (2 * (label - self.low) / (self.high - self.low) - 1).flatten(1)

    def critic_loss(self, batch: Steps, noise: Tensor) -> Tensor:  # type: ignore[override]
        """That of soft actor-critic, and both critics' excess; from uniforms (N, D (1 + 3 n))."""
        own, further = noise.split([self.size, self.critic_noise - self.size], 1)
        return super().critic_loss(batch, own) + self.config.conservatism * self.excess(batch, further).sum()  # type: ignore[arg-type]

    def excess(self, batch: Steps, noise: Tensor) -> Tensor:
        """How far the values of all actions exceed those of recorded ones, (2,), by sampling; uniforms (N, 3 n D).

        The log of the mean of exp(Q) over the box, as an importance-weighted mean over 3 n actions, less the recorded
        action's Q.
        """
        count, size = self.config.sampled_actions, len(batch.reward)
        parts = noise.view(size, 3, count, self.size).transpose(1, 2).reshape(size * count, 3, self.size).unbind(1)
        now, after = (_again(seen, count) for seen in (batch.observation, batch.next_observation))
        even = torch.full_like(parts[0][:, 0], -self.size * math.log(2))  # the log-density on [-1, 1]^D
        with torch.no_grad():
            tried = [(2 * parts[0] - 1, even), self.sample(now, parts[1]), self.sample(after, parts[2])]
        values = [self.critic(now, action) - density for action, density in tried]  # each (2, N n)
        joined = torch.cat([value.view(2, size, count) for value in values], 2)
        everywhere = joined.logsumexp(2) - math.log(3 * count) + even[0]
        return (everywhere - self.critic(batch.observation, batch.action)).mean(1)


def _again(seen: Observation, count: int) -> Observation:
    """Each row so many times in succession."""
    return tree_map(lambda part: part.repeat_interleave(count, 0), seen)
