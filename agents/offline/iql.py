"""Implicit Q-learning (Kostrikov et al., 2022): values and a policy from recorded steps, good and bad ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import gymnasium.spaces as spaces
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import leaves, take, tree_map
from ...neural_blocks.errors import Diverged
from ..core.agent import Memory, Report
from ..core.config import AgentConfig
from ..core.randomness import REPLAY
from ..imitation.demonstrations import Demonstration
from ..imitation.gail import raw_space
from ..learning.learner import training
from ..learning.optimisation import OptimisationConfig
from ..learning.optimisers import make_optimiser
from ..networks.heads import distribution
from ..networks.masking import is_masked
from ..networks.network import Actor, Parts, Trunk
from ..networks.network_config import PolicyConfig
from ..value.off_policy import OffPolicyAgent
from .recorded import Steps, record, steps_of

NUMBERS = ("policy_loss", "value_loss", "critic_loss", "value", "weight", "gradient_norm")


class IQLConfig(OptimisationConfig, PolicyConfig):
    """Settings of implicit Q-learning beside the network's, which has no memory.

    Attributes:
        updates: gradient steps in an iteration.
        batch_size: recorded steps in each; each of them counts as a step of training.
        gamma: discount.
        expectile: of the values of the actions that were recorded in a state, which of them is the state's: 0.5 is
            their mean, nearer to 1 the best of them.
        sharpness: how much likelier an action becomes for each unit of value that it has above its state's: 0 clones.
        most_weight: an action's weight in the policy's loss, at most.
        target_rate: how far the target of the actions' values moves at each gradient step.
        demonstration_steps: steps of each environment that are recorded where no demonstration is given.
        expert_share: of the environments in which they are, those in which the expert plays, the others at random.
    """

    rollout_steps: int = Field(1, ge=1, le=1)
    updates: int = Field(32, ge=1)
    batch_size: int = Field(256, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)
    expectile: float = Field(0.7, gt=0, lt=1)
    sharpness: float = Field(3.0, ge=0)
    most_weight: float = Field(100.0, gt=0)
    target_rate: float = Field(0.005, gt=0, le=1)
    demonstration_steps: int = Field(128, ge=1)
    expert_share: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _looks_at_single_steps(self) -> Self:
        for name, only in (("memory", None), ("network", "perceptron"), ("beam", 1)):
            if getattr(self, name) != only:
                told = "null" if only is None else repr(only)
                raise ValueError(f"{name} must be {told}; got {getattr(self, name)!r}")
        return self


class IQL(OffPolicyAgent):
    """Implicit Q-learning: learns what was worth doing from steps that others took, and does that.

    Values are asked of recorded actions alone, so none is overestimated that was never tried: a state's is an expectile
    of theirs, and the policy imitates each action the more, the more it is worth above its state.

    Attributes:
        demonstration: what was done and what it brought, on the agent's device. Unless it is set before `learn`, steps
            of the task's own expert and of random play are recorded first, in the environments to learn in.
    """

    name = "iql"
    Config: ClassVar[type[AgentConfig]] = IQLConfig
    acts = "actor"
    for_learning = ("demonstration",)
    demonstration: Demonstration | None
    _steps: Steps | None

    def build(self) -> None:
        """Policy, state values, action values with their target, and an optimiser for each."""
        config, space = self.config, self.observation_space
        self.demonstration, self._steps = None, None
        self.replay, self.updates = None, 0
        self.progress = torch.zeros((), dtype=torch.float32, device=self.device)
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
        self.descend = self.updating(self._descend, lambda: self.optimisers.values())

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

    def random(self, noise: Tensor) -> Tensor:
        """It never plays to learn, so it never plays at random."""
        raise NotImplementedError

    def to_env(self, action: Tensor) -> Tensor:
        """The action space's own values."""
        found: Tensor = self.policy.to_env(action)
        return found

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns from `steps` recorded steps in all, each counted as often as it is drawn; it does not play.

        Raises:
            NoExpert: the task has no expert, no demonstration was set, and `expert_share` is not 0.
            InvalidInput: a demonstration without rewards.
        """
        self.attach(env, steps)
        config = self.config
        if self.demonstration is None:
            self.demonstration = record(env, config.demonstration_steps, config.expert_share, self.randomness)
        if self._steps is None:
            self._steps = steps_of(self.name, self.demonstration, self.policy, config.gamma)
            self.forget_updates()
        if env is not self._env:
            self._env, self._iterations = env, None
        if self.execution == "captured" and not env.started:
            env.reset()  # a graph holds the environments' state too
        while self.steps < steps:
            self.progress.fill_(self.steps / steps)
            self.on_schedule(list(self.optimisers.values()), self.steps / steps)
            numbers: Any = self.run(self._fit)
            self.steps += config.updates * config.batch_size
            self.updates += config.updates
            means = dict(zip(NUMBERS, numbers.tolist(), strict=True))
            for name, number in means.items():
                if not math.isfinite(number):
                    raise Diverged(self.updates // config.updates, name, number)
            yield {"steps": float(self.steps), **means}

    def _fit(self) -> Any:
        """Gradient steps on what was recorded; the means of their numbers, (6,)."""
        losses = []
        with training(*self.learning):
            for _ in range(self.config.updates):
                losses.append(torch.stack(list(self.descend().values())))
                self._move_targets()
        return torch.stack(losses).mean(0)

    @property
    def moving(self) -> Any:
        """Nothing: it does not play."""
        return ()

    @moving.setter
    def moving(self, tree: Any) -> None: ...

    def _descend(self) -> dict[str, Tensor]:
        """A gradient step on recorded steps."""
        return self.update(self.draw())

    def draw(self, replay: Any = None) -> Any:
        """`Steps`, recorded ones, drawn evenly and with replacement."""
        assert self._steps is not None
        (rows,) = self.randomness.integers(REPLAY, 1, self.config.batch_size, len(self._steps.reward))
        return take(self._steps, rows)

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
            aim = batch.reward + batch.discount * self.value(batch.following)[0]
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

    def state_dict(self) -> dict[str, Any]:
        """The demonstration beside the state of what learns from replay."""
        told = None if self.demonstration is None else vars(self.demonstration)
        return super().state_dict() | {"demonstration": told}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.demonstration, self._steps = None, None
        if state.get("demonstration") is not None:
            told = Demonstration(**state["demonstration"])
            self.demonstration = tree_map(lambda part: part.to(self.device), told)


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
