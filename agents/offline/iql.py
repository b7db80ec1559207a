"""Implicit Q-learning (Kostrikov et al., 2022): values and a policy from recorded steps, good and bad ones."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tree import leaves, tree_map
from ..core.agent import Memory
from ..core.config import AgentConfig
from ..imitation.gail import raw_space
from ..learning.optimisers import make_optimiser
from ..networks.heads import distribution
from ..networks.masking import is_masked
from ..networks.network import Actor, Parts, Trunk
from ..networks.network_config import PolicyConfig
from .learner import OfflineAgent, OfflineConfig
from .recorded import Steps


class IQLConfig(OfflineConfig, PolicyConfig):
    """Settings of implicit Q-learning beside the network's, which has no memory.

    Attributes:
        expectile: of the values of the actions that were recorded in a state, which of them is the state's: 0.5 is
            their mean, nearer to 1 the best of them.
        sharpness: how much likelier an action becomes for each unit of value that it has above its state's: 0 clones.
        most_weight: an action's weight in the policy's loss, at most.
    """

    rollout_steps: int = Field(1, ge=1, le=1)
    expectile: float = Field(0.7, gt=0, lt=1)
    sharpness: float = Field(3.0, ge=0)
    most_weight: float = Field(100.0, gt=0)


class IQL(OfflineAgent):
    """Implicit Q-learning: learns what was worth doing from steps that others took, and does that.

    Values are asked of recorded actions alone, so none is overestimated that was never tried: a state's is an expectile
    of theirs, and the policy imitates each action the more, the more it is worth above its state.
    """

    name = "iql"
    Config: ClassVar[type[AgentConfig]] = IQLConfig
    acts = "actor"
    numbers = ("policy_loss", "value_loss", "critic_loss", "value", "weight", "gradient_norm")

    def build(self) -> None:
        """Policy, state values, action values with their target, and an optimiser for each."""
        super().build()
        config, space = self.config, self.observation_space
        self.policy = distribution(self.action_space, config.head, config.components, config.noise_features)
        if hasattr(self.policy, "log_std"):
            nn.init.constant_(self.policy.log_std, config.initial_log_std)
        self.noise = self.policy.noise
        masked = is_masked(space, self.action_space)
        latent = getattr(self.policy, "latent", 0)
        self.actor = Actor(space, self.policy.size, masked=masked, latent=latent, **config.trunk())
        self.value = Values(space, 1, **config.trunk())
        self.critic = _action_values(space, self.action_space, config)
        self.target = copy.deepcopy(self.critic)
        parts = {"actor": self.actor, "value": self.value, "critic": self.critic, "target": self.target}
        self.networks = nn.ModuleDict({**parts, "policy": self.policy}).to(self.device).eval()
        self.target_pairs = [(self.target, self.critic)]
        acting = [*self.actor.parameters(), *self.policy.parameters()]
        self.optimisers = {
            "actor": make_optimiser(acting, config, self.policy.parameters()),
            "value": make_optimiser(self.value.parameters(), config),
            "critic": make_optimiser(self.critic.parameters(), config),
        }
        self.average(self.actor, self.policy)
        self.run_loss = self.loss_within(self.loss)

    @property
    def learning(self) -> list[nn.Module]:
        """Policy, state values and action values."""
        return [self.actor, self.value, self.critic]

    def choose(
        self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Memory]:
        """The policy's likeliest action, or a random one."""
        parameters, _ = self.actor.act(observation, (), start)
        return self.policy.mode(parameters) if noise is None else self.policy.sample(parameters, noise), memory

    def raw(self, label: Tensor) -> Tensor:
        """As the policy's distribution has them."""
        found: Tensor = self.policy.from_env(label)
        return found

    def to_env(self, action: Tensor) -> Tensor:
        """The action space's own values."""
        found: Tensor = self.policy.to_env(action)
        return found

    def update(self, batch: Any) -> dict[str, Tensor]:
        """One gradient step each of the policy, the states' values and the actions'."""
        losses, numbers = self.run_loss(batch)
        for name, loss in losses.items():
            numbers[f"{name}_norm"] = self.minimise(name, loss)
        norm = numbers.pop("actor_norm")
        del numbers["value_norm"], numbers["critic_norm"]
        return numbers | {"gradient_norm": norm}

    def loss(self, batch: Steps) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of the three networks on N steps, and numbers for the report.

        Equations 5, 6 and 7 of the paper: the state's value is an expectile of the lower one of two target values of
        the action; the action's two values lead to the reward and the next state's; the policy imitates by weights.
        """
        config = self.config
        value = self.value(batch.observation)[0]  # (N,)
        pair = {"observation": batch.observation, "action": batch.action}
        with torch.no_grad():
            worth = self.target(pair).amin(0)
            aim = batch.reward + batch.discount * self.value(batch.next_observation)[0]
        above = worth - value
        side = torch.where(above.detach() < 0, 1 - config.expectile, config.expectile)
        value_loss = (side * above.square()).mean()
        critic_loss = 0.5 * (self.critic(pair) - aim).square().mean(1).sum()
        weight = (config.sharpness * above.detach()).exp().clamp(max=config.most_weight)
        never = torch.zeros_like(batch.reward, dtype=torch.bool)
        parameters, _ = self.actor.act(batch.observation, (), never)
        policy_loss = -(weight * self.policy.log_prob(parameters, batch.action)).mean()
        losses = {"value": value_loss, "critic": critic_loss, "actor": policy_loss}
        numbers = {"policy_loss": policy_loss, "value_loss": value_loss, "critic_loss": critic_loss}
        means = {"value": value.mean(), "weight": weight.mean()}
        return losses, {name: one.detach() for name, one in (numbers | means).items()}


class Values(Trunk):
    """One or two values of the same thing: an encoder, and a perceptron for each. Arguments as of `Trunk`."""

    def __init__(self, space: spaces.Space[Any], count: int, **settings: Any) -> None:
        super().__init__(space, **settings)
        self.heads = nn.ModuleList(self.head(1) for _ in range(count))

    def forward(self, seen: Any) -> Tensor:
        """What is valued (N, ...) to values (count, N)."""
        one = tree_map(lambda part: part.unsqueeze(0), seen)
        start = leaves(one)[0].new_zeros(1, len(leaves(seen)[0]), dtype=torch.bool)
        features, _ = self.features(one, (), start)
        return torch.cat([head(features).squeeze(-1) for head in self.heads])


def _action_values(seen: spaces.Space[Any], acted: spaces.Space[Any], config: Any) -> Values:
    """Two values of an observation with a raw action; images are not changed at random for them."""
    space = spaces.Dict({"observation": seen, "action": raw_space(acted)})
    settings = config.trunk() | {"augment": ()}
    if isinstance(config.encoder, nn.Module):  # it reads whole observations
        settings["encoder"] = Parts(space, "auto", {"observation": config.encoder})
    return Values(space, 2, **settings)
