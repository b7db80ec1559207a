"""Soft actor-critic (Haarnoja et al., 2018), with automatic temperature (Haarnoja et al., 2019)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import gymnasium.spaces as spaces
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...envs.core.noise import normal
from ...envs.core.task import Observation
from ...envs.core.tree import leaves, take
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.gaussian import gaussian_log_prob
from ...neural_blocks.perception.augmentation import Augmentation
from ...neural_blocks.perception.mlp import MLP
from ..core.agent import Memory
from ..core.randomness import UPDATE
from ..learning.losses import value_error
from ..learning.optimisers import make_optimiser
from ..learning.replay import Batch, Replay
from ..networks.network import Actor, make_encoder
from ..networks.pretrained import EncoderFile
from ..networks.state_dependent import StateDependentGaussian
from .action_noise import ActionNoiseConfig
from .off_policy import OffPolicyAgent, OffPolicyConfig

LOG_STD = (-5.0, 2.0)  # the policy's deviation stays between these exponents of e


class SACConfig(OffPolicyConfig, ActionNoiseConfig):
    """Settings of SAC: those of replay, of noise on its actions, and of what its own noise is.

    Attributes:
        head: of the policy before squashing: "gaussian", a normal distribution whose deviation the network gives, drawn
            anew at each step; or "state_dependent", whose noise is a function of the state that lasts (Raffin et al.,
            2021).
        noise_features: of the state, which the noise of "state_dependent" is a function of.
        noise_steps: steps for which such a function stays, from an episode's start on.
    """

    head: Literal["gaussian", "state_dependent"] = "gaussian"
    noise_features: int = Field(16, ge=1, le=1024)
    noise_steps: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _one_noise(self) -> Self:
        if self.head == "state_dependent" and self.action_noise is not None:
            raise ValueError(f"action_noise must be null with the head 'state_dependent'; got {self.action_noise!r}")
        return self


class TwinCritic(nn.Module):
    """Two values of the same observation and action: one encoder, two perceptrons.

    Args:
        observation_space: what is encoded.
        action_size: features of a raw action.
        encoder: see `network.make_encoder`.
        encoder_depth: see there too.
        freeze: see there too.
        hidden: widths of each perceptron's hidden layers.
        activation: of the perceptrons.
        initialisation: of the perceptrons.
        normalisation: of the perceptrons.
        dropout: of the perceptrons.
        augment: see `network.Trunk`.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_size: int,
        *,
        encoder: str | nn.Module | EncoderFile,
        encoder_depth: int | None,
        freeze: bool,
        hidden: Sequence[int],
        activation: str,
        initialisation: str,
        normalisation: str | None = None,
        dropout: float = 0.0,
        augment: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.augmentation = Augmentation(observation_space, augment) if augment else None
        self.encoder = make_encoder(observation_space, encoder, encoder_depth, freeze)
        size = int(self.encoder.output_size) + action_size
        settings: dict[str, Any] = {"normalisation": normalisation, "dropout": dropout}
        self.heads = nn.ModuleList(
            MLP(size, hidden, 1, activation=activation, initialisation=initialisation, **settings) for _ in range(2)
        )

    def forward(self, observation: Observation, action: Tensor) -> Tensor:
        """Observations (N, ...) and raw actions (N, D) to values (2, N)."""
        observation = observation if self.augmentation is None else self.augmentation(observation)
        x = torch.cat([self.encoder(observation), action], -1)
        return torch.stack([head(x).squeeze(-1) for head in self.heads])


class SAC(OffPolicyAgent):
    """Soft actor-critic: a random policy over a box that is paid for its entropy, learned from replay."""

    name = "sac"
    Config = SACConfig
    action_spaces: ClassVar = (spaces.Box,)
    action_space: spaces.Box
    acts = "actor"
    free = ("temperature",)

    def build(self) -> None:
        """Policy, critics, their targets, the temperature, and an optimiser for each."""
        super().build()
        config, box = self.config, self.action_space
        if not box.is_bounded():
            raise InvalidInput(f"sac: action space must be a bounded Box; got {box}")
        self.size = self.critic_noise = math.prod(box.shape)  # D, and uniforms that the critics' loss takes for a row
        self.noise = self.size * (1 if config.action_noise is None else 2)
        self.lasting: StateDependentGaussian | None = None
        if config.head == "state_dependent":
            self.lasting = StateDependentGaussian(box, config.noise_features).to(self.device)
            self.noise = self.lasting.noise
        extra = [] if self.lasting is None else [self.lasting]
        self.low, self.high = (torch.as_tensor(bound, device=self.device) for bound in (box.low, box.high))
        self.actor = Actor(
            self.observation_space,
            2 * self.size if self.lasting is None else self.lasting.size,
            latent=0 if self.lasting is None else self.lasting.latent,
            **config.trunk(),
        ).to(self.device)
        critic = TwinCritic(self.observation_space, self.size, **config.trunk())
        self.critic = critic.to(self.device)
        self.target = copy.deepcopy(self.critic)
        self.log_temperature = nn.Parameter(torch.zeros((), device=self.device))
        self.networks = nn.ModuleDict({"actor": self.actor, "critic": self.critic, "target": self.target})
        if self.lasting is not None:
            self.networks["lasting"] = self.lasting
        self.networks.register_parameter("log_temperature", self.log_temperature)
        self.target_pairs = [(self.target, self.critic)]
        parts: dict[str, list[nn.Parameter]] = {
            "actor": [*self.actor.parameters(), *(one for module in extra for one in module.parameters())],
            "critic": list(self.critic.parameters()),
            "temperature": [self.log_temperature],
        }
        self.optimisers = {
            name: make_optimiser(own, config, own if name in self.free else ()) for name, own in parts.items()
        }
        self.average(self.actor, *extra)
        self.watch(actor=self.actor, critic=self.critic)
        self.networks.eval()
        self.run_critic_loss = self.loss_within(self.critic_loss)
        self.run_actor_loss = self.loss_within(self.actor_loss)

    def parameters_of(self, observation: Observation) -> Tensor:
        """The policy's parameters (N, P) for observations (N, ...)."""
        never = torch.zeros(len(leaves(observation)[0]), dtype=torch.bool, device=self.device)
        parameters: Tensor = self.actor.act(observation, (), never)[0]
        return parameters

    def policy(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Means and log deviations (N, D) before squashing, for observations (N, ...)."""
        parameters = self.parameters_of(observation)
        if self.lasting is not None:
            return self.lasting.mode(parameters), self.lasting.log_deviation(parameters)
        mean, spread = parameters.chunk(2, -1)
        low, high = LOG_STD
        return mean, low + (high - low) * (torch.tanh(spread) + 1) / 2

    def sample(self, observation: Observation, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Random raw actions (N, D) in [-1, 1], differentiable, and their log-densities (N,), from uniforms (N, D)."""
        mean, log_std = self.policy(observation)
        before = mean + log_std.exp() * normal(noise)
        squashing = 2 * (math.log(2) - before - F.softplus(-2 * before))  # log of the derivative of tanh
        return torch.tanh(before), (gaussian_log_prob(before, mean, log_std) - squashing).sum(-1)

    def choose(
        self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Memory]:
        """The squashed mean, or a random action: (B, D) in [-1, 1]; the memory is of a noise that drifts or lasts."""
        if noise is None:
            return torch.tanh(self.policy(observation)[0]), memory
        if self.lasting is not None:
            matrix, left = memory or self.initial_memory(len(noise))
            anew = start | (left == 0)
            matrix = torch.where(anew.unsqueeze(1), noise, matrix)
            left = torch.where(anew, self.config.noise_steps, left) - 1
            return torch.tanh(self.lasting.sample(self.parameters_of(observation), matrix)), (matrix, left)
        action = self.sample(observation, noise[:, : self.size])[0]
        if self.config.action_noise is None:
            return action, memory
        before = memory[0].masked_fill(start.unsqueeze(1), 0.0) if memory else torch.zeros_like(action)
        added = self.config.drifted(before, noise[:, self.size :])
        return (action + added).clamp(-1, 1), (added,) if memory else memory

    def initial_memory(self, num_envs: int) -> Memory:
        """The noise (B, D) that drifts, 0; or the uniforms (B, F D) that last, and for how many steps (B,)."""
        if self.lasting is not None:
            matrix = torch.full((num_envs, self.noise), 0.5, dtype=torch.float32, device=self.device)
            return matrix, torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        if self.config.action_noise != "ornstein_uhlenbeck":
            return ()
        return (torch.zeros(num_envs, self.size, dtype=torch.float32, device=self.device),)

    def _explore(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """The agent's own choice; replay has no use for a noise that drifts or lasts."""
        action, after, (*kept, _) = super()._explore(observation, memory, start, noise)
        return action, after, (*kept, ())

    def _warm_up(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """A random action."""
        action, after, (*kept, _) = super()._warm_up(observation, memory, start, noise)
        return action, after, (*kept, ())

    def random(self, noise: Tensor) -> Tensor:
        """(B, D) uniform in [-1, 1]."""
        return 2 * noise[:, : self.size] - 1

    def to_env(self, action: Tensor) -> Tensor:
        """The action in the box, in its shape."""
        action = action.view(-1, *self.action_space.shape)
        return torch.clamp(self.low + (self.high - self.low) * (action + 1) / 2, self.low, self.high)

    @property
    def learning(self) -> list[nn.Module]:
        """The policy and the critics."""
        return [self.actor, self.critic]

    def draw(self, replay: Replay) -> Batch:
        """Single transitions."""
        return take(replay.sample(self.config.batch_size, self.config.gamma, 1, self.randomness), 0)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step each of the critics, the policy and the temperature."""
        rows = self.config.batch_size
        first, second = (self.randomness.uniform(UPDATE, rows, width) for width in (self.critic_noise, self.size))
        value_loss = self.run_critic_loss(batch, first)
        norm = self.minimise("critic", value_loss)
        policy_loss, log_prob = self.run_actor_loss(batch, second)
        self.minimise("actor", policy_loss)
        self.minimise("temperature", self.temperature_loss(log_prob))
        return {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": -log_prob.mean(),
            "temperature": self.log_temperature.detach().exp(),
            "gradient_norm": norm,
        }

    def critic_loss(self, batch: Batch, noise: Tensor) -> Tensor:
        """The mean error of both critics, summed; the target is the lower of the two target values."""
        with torch.no_grad():
            action, log_prob = self.sample(batch.next_observation, noise)
            soft = self.target(batch.next_observation, action).min(0).values - self.log_temperature.exp() * log_prob
            target = batch.reward + batch.discount * soft  # (N,)
        value = self.critic(batch.observation, batch.action)
        return value_error(self.config.value_error, value, target.expand_as(value)).mean(1).sum()

    def actor_loss(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What the policy minimises, temperature times log-density minus value; and the log-densities, detached."""
        action, log_prob = self.sample(batch.observation, noise)
        value = self.critic(batch.observation, action).min(0).values
        loss = (self.log_temperature.detach().exp() * log_prob - value).mean()
        return loss, log_prob.detach()

    def temperature_loss(self, log_prob: Tensor) -> Tensor:
        """Its gradient raises the temperature where the entropy is below -D nats, and lowers it above."""
        return -self.log_temperature * (log_prob - self.size).mean()
