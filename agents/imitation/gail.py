"""GAIL, generative adversarial imitation learning (Ho and Ermon, 2016), with PPO as the policy's learner."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import gymnasium.spaces as spaces
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.block_settings import Configured
from ...neural_blocks.generation.gan import DenseDiscriminator
from ...neural_blocks.generation.gan_losses import discriminator_loss
from ..core.agent import Report
from ..core.randomness import REPLAY
from ..learning import optimisers
from ..learning.learner import training
from ..learning.optimisers import adam
from ..learning.rollout import Rollout, generalised_advantage
from ..networks.network import Parts, make_encoder
from ..policy_gradient.ppo import PPO, PPOConfig
from .demonstrations import Demonstration

Pairs = dict[str, Any]  # "observation" (N, ...) and "action" (N, ...), raw as the policy's distribution has it


class GAILConfig(PPOConfig):
    """Settings of GAIL beside those of PPO.

    Attributes:
        demonstration_steps: steps of the task's expert that are recorded in every environment before learning.
        discriminator_learning_rate: of the discriminator's Adam.
        discriminator_updates: its gradient steps on each rollout.
        discriminator_batch: pairs of either side in such a step.
        discriminator_hidden: widths of its hidden layers.
        reward: what a step is paid, D being the probability that it is the expert's: "logit", ln D - ln(1 - D), of
            either sign; "positive", -ln(1 - D), under which a longer episode pays more; "negative", ln D, under which a
            shorter one does.
    """

    demonstration_steps: int = Field(128, ge=1)
    discriminator_learning_rate: float = Field(1e-3, gt=0)
    discriminator_updates: int = Field(8, ge=1)
    discriminator_batch: int = Field(512, ge=1)
    discriminator_hidden: tuple[int, ...] = (64, 64)
    reward: Literal["logit", "positive", "negative"] = "logit"


class GAIL(PPO):
    """Generative adversarial imitation: PPO is paid for steps that a discriminator takes for the expert's.

    The environment's own reward is reported and never learned from. What a step is paid instead follows from D, the
    discriminator's probability that a pair of observation and action is the expert's. By default it is the logit (Fu et
    al., 2018), which says nothing of how long an episode should be: a reward that is always positive, as in the paper's
    minimax game, keeps the policy from ending episodes that the expert ends, and one that is always negative makes it
    end those that the expert prolongs.

    The discriminator judges single steps; a memory is the policy's alone, and where the right action depends on what no
    longer shows there is nothing to tell learner and expert apart by.

    The discriminator must keep ahead of the policy: where a run stalls at low entropy, lower the policy's learning
    rate.

    Attributes:
        demonstration: what the expert did, on the agent's device. Unless it is set before `learn`, the task's own
            expert is recorded first, in the environments to learn in; its steps count as the agent's.
    """

    name = "gail"
    Config = GAILConfig
    for_learning = ("demonstration",)
    in_processes = side_by_side = False

    def build(self) -> None:
        """PPO's parts, and the discriminator with its optimiser."""
        super().build()
        config = self.config
        self.demonstration: Demonstration | None = None
        space = spaces.Dict({"observation": self.observation_space, "action": raw_space(self.action_space)})
        source = config.source
        pairs: Any
        if isinstance(source, nn.Module):  # it reads whole observations
            pairs = Parts(space, "auto", {"observation": source})
        else:
            pairs = (
                Parts(space, source)
                if isinstance(source, str | Configured)
                else make_encoder(space, source, None, config.freeze)
            )
        judge = DenseDiscriminator((pairs.output_size,), hidden=config.discriminator_hidden)
        self.discriminator = nn.Sequential(pairs, judge).to(self.device).eval()
        self.discriminator_optimiser = adam(self.discriminator.parameters(), config.discriminator_learning_rate)
        self.run_discriminator_loss = self.compiled(self.discriminator_loss)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        Raises:
            NoExpert: the task has no expert and no demonstration was set.
        """
        self.attach(env, steps)
        if self.demonstration is None:
            self.demonstration = self._record(env)
            self.steps += self.demonstration.start.numel()
        yield from super().learn(env, steps)

    @torch.no_grad()
    def _record(self, env: BatchedEnvironment) -> Demonstration:
        """The expert's steps in every environment, from new episodes on; afterwards new ones begin again."""
        seen, starts, labels = [], [], []
        env.reset()
        for _ in range(self.config.demonstration_steps):
            label = env.expert_action()
            seen.append(env.observation)
            starts.append(env.episode_start)
            labels.append(label)
            env.step(label)
        env.reset()
        return Demonstration(
            tree_map(lambda *parts: torch.stack(parts), *seen), torch.stack(starts), torch.stack(labels)
        )

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """Updates the discriminator, then the policy on its rewards; `advantage`, the environment's, is not used."""
        assert self.demonstration is not None
        expert = _pairs(self.demonstration.observation, self.policy.from_env(self.demonstration.label))
        learner = _pairs(rollout.observation, self.policy.from_env(self.policy.to_env(rollout.action)))
        with training(self.discriminator):
            losses = [self._discriminate(expert, learner) for _ in range(self.config.discriminator_updates)]
        with torch.no_grad():
            reward = self.reward(self.discriminator(learner)).view_as(rollout.reward)
        judged = replace(rollout, reward=reward * self.config.reward_scale)
        report = super().update(judged, generalised_advantage(judged, self.config.gamma, self.config.gae_lambda))
        return report | {"discriminator_loss": torch.stack(losses).mean(), "imitation_reward": reward.mean()}

    def reward(self, logit: Tensor) -> Tensor:
        """(...) what a step is paid, for the discriminator's logits (...)."""
        if self.config.reward == "logit":
            return logit
        return -F.logsigmoid(-logit) if self.config.reward == "positive" else F.logsigmoid(logit)

    def _discriminate(self, expert: Pairs, learner: Pairs) -> Tensor:
        """One gradient step of the discriminator on pairs drawn from either side; returns its loss."""
        loss = self.run_discriminator_loss(self._draw(expert), self._draw(learner))
        self.discriminator_optimiser.zero_grad()
        loss.backward()
        self.discriminator_optimiser.step()
        return loss.detach()

    def _draw(self, pairs: Pairs) -> Pairs:
        """Pairs drawn uniformly, with replacement."""
        size = self.config.discriminator_batch
        (rows,) = self.randomness.integers(REPLAY, 1, size, len(pairs["action"]))
        return tree_map(lambda part: part.index_select(0, rows), pairs)

    def discriminator_loss(self, expert: Pairs, learner: Pairs) -> Tensor:
        """-E[ln D(expert)] - E[ln(1 - D(learner))], what the discriminator minimises."""
        return discriminator_loss("minimax", self.discriminator(expert), self.discriminator(learner))

    def changing(self) -> list[Tensor]:
        """The discriminator and its optimiser beside PPO's tensors."""
        own = [*self.discriminator.parameters(), *self.discriminator.buffers()]
        return [*super().changing(), *own, *optimisers.tensors(self.discriminator_optimiser)]

    def state_dict(self) -> dict[str, Any]:
        """The discriminator, its optimiser and the demonstration beside PPO's state."""
        return super().state_dict() | {
            "discriminator": self.discriminator.state_dict(),
            "discriminator_optimiser": optimisers.saved(self.discriminator_optimiser),
            "demonstration": None if self.demonstration is None else vars(self.demonstration),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.discriminator.load_state_dict(state["discriminator"])
        optimisers.restore(self.discriminator_optimiser, state["discriminator_optimiser"])
        self.demonstration = None
        if state.get("demonstration") is not None:
            self.demonstration = tree_map(lambda part: part.to(self.device), Demonstration(**state["demonstration"]))


def _pairs(observation: Observation, action: Tensor) -> Pairs:
    """Steps (T, B, ...) side by side, (T B, ...)."""
    return tree_map(lambda part: part.flatten(0, 1), {"observation": observation, "action": action})


def raw_space(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Where the raw actions of an action space lie; those of an unbounded Box go beyond it."""
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.reshape(-1))
    assert isinstance(space, spaces.Box | spaces.MultiBinary)
    return spaces.Box(-1, 1, (math.prod(space.shape),))
