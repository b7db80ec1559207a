"""What REINFORCE, A2C and PPO share: settings, and the loop of rollout and update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ..core.agent import Report
from ..core.config import AgentConfig
from ..core.randomness import ACT
from ..learning.learner import Learner, training
from ..learning.losses import ErrorKind
from ..learning.optimisation import OptimisationConfig
from ..learning.policy_agent import PolicyAgent
from ..learning.rollout import Collector, Rollout, generalised_advantage
from ..learning.statistics import Numbers
from ..networks.network import ActorCritic
from ..networks.network_config import PolicyConfig
from ..networks.normalisation import RewardNormaliser
from ..robustness.adversarial import AdversarialConfig
from ..robustness.answers import AnswersConfig
from ..robustness.ensemble import EnsembleConfig
from ..robustness.groups import Reweighing, ReweighingConfig


class ActorCriticConfig(
    AdversarialConfig, AnswersConfig, EnsembleConfig, ReweighingConfig, OptimisationConfig, PolicyConfig
):
    """Settings that every actor-critic has beside its network's.

    Attributes:
        reward_scale: what rewards are multiplied by before learning, so that values are not far from 1.
        gamma: discount.
        gae_lambda: decay of the advantages; 1 is the plain return.
        value_coefficient: weight of the value's loss.
        value_error: how far a value is off: half the "squared" difference, "huber", which is that up to a difference
            of 1 and grows linearly from there on (Huber, 1964), or "absolute".
        entropy_coefficient: weight of the policy's entropy.
        entropy_end: what that weight has become at the end of the run, linearly; null where it stays.
        normalise_observation: by the mean and deviation of all observations so far, which are saved with the agent.
        normalise_reward: divide rewards by the deviation of the discounted return so far.
    """

    learning_rate: float = Field(3e-4, gt=0)
    optimiser_eps: float = Field(1e-5, gt=0)
    reward_scale: float = Field(1.0, gt=0)
    gamma: float = Field(0.99, ge=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    value_coefficient: float = Field(0.5, ge=0)
    value_error: ErrorKind = "squared"
    entropy_coefficient: float = Field(0.01, ge=0)
    entropy_end: float | None = Field(None, ge=0)
    max_grad_norm: float | None = Field(0.5, gt=0)
    normalise_observation: bool = False
    normalise_reward: bool = False

    def trunk(self) -> dict[str, Any]:
        """The settings as `network.Trunk` takes them."""
        return super().trunk() | {"normalise": self.normalise_observation}


class ActorCriticAgent(PolicyAgent):
    """An agent with one network for policy and value, learning on-policy. Subclasses say what an update is.

    Attributes:
        network_kind: of its network.
        over: share that is over of the run that `learn` is only a part of; None where it is all of it.
    """

    Config: ClassVar[type[AgentConfig]] = ActorCriticConfig
    in_processes: ClassVar[bool] = True
    network: ActorCritic
    over: float | None = None
    network_kind: type[ActorCritic] = ActorCritic

    def build(self) -> None:
        """Network, distribution and optimiser."""
        self.make_network(self.network_kind)
        normalised = self.config.normalise_reward
        self.reward_normaliser = RewardNormaliser(self.config.gamma).to(self.device) if normalised else None
        self.reweighing = Reweighing(self.config).to(self.device) if self.config.told_apart else None
        self.optimiser = self.make_optimiser()
        self.passed = torch.zeros((), dtype=torch.float32, device=self.device)  # share of the run that is over

    def between(self, start: float, end: float | None) -> float | Tensor:
        """What a setting is now that goes linearly from its start to its end over the run, if it has one."""
        return start if end is None else start + (end - start) * self.passed

    @property
    def entropy_weight(self) -> float | Tensor:
        """The entropy's weight now."""
        return self.between(self.config.entropy_coefficient, self.config.entropy_end)

    def weighed(self, credit: Tensor, rollout: Rollout, counted: Tensor | None = None) -> Tensor:
        """What actions are weighed with (T, B), times what their steps count, see `Reweighing`."""
        return credit if self.reweighing is None else credit * self.reweighing(rollout.reward, rollout.metrics, counted)

    def learned_from(
        self, observation: Observation, start: Tensor, action: Tensor, advantage: Tensor
    ) -> tuple[Observation, Observation | None]:
        """Observations (L, N, ...), attacked so that the policy's loss grows, see `AdversarialTraining`.

        An action whose advantage (L, N) is above 0 is made less likely by the attack, one that has less more likely.
        """
        if self.adversary is None:
            return observation, None
        return self.adversary.learned_from(observation, start, action, advantage < 0)

    def unlike(self, parameters: Tensor, attacked: Observation | None, start: Tensor) -> Tensor | None:
        """(L, N) what the answers to attacked observations being others than these costs; None without any."""
        if self.adversary is None or attacked is None:
            return None
        return self.adversary.beta * self.adversary.divergence(parameters, attacked, start)

    @abstractmethod
    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """Learns from a rollout and its advantages (T, B); returns named scalars, left on the device."""

    def prepare(self, env: BatchedEnvironment) -> None:
        """What collects rollouts in these environments."""
        self.collector = Collector(env, self.network, self.policy, self.interaction)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.
        """
        if self.enter(env, steps):
            self.memory = self.initial_memory(env.num_envs)
            if self.reward_normaliser is not None:
                self.reward_normaliser.running = None
        while self.steps < steps:
            passed = self.steps / steps if self.over is None else self.over
            self.on_schedule([self.optimiser], passed)
            self.passed.fill_(passed)
            numbers = self.run(self._iterate)
            self.steps += self.config.rollout_steps * self.whole(env)
            yield self.report(numbers)

    def _iterate(self) -> Numbers:
        """A rollout, and an update on it."""
        config, collector = self.config, self.collector
        noise = self.randomness.steps(ACT, config.rollout_steps, collector.env.num_envs, self.policy.noise)
        if config.head == "state_dependent":  # each function of the state stays for some steps
            steps = torch.arange(config.rollout_steps, device=self.device)
            noise = noise.index_select(0, steps - steps % config.noise_steps)
        rollout, self.memory = collector.collect(self.memory, noise, self.chunk)
        reward = rollout.reward * config.reward_scale
        if self.reward_normaliser is not None:
            reward = self.reward_normaliser(reward, rollout.done, self.processes)
        scaled = replace(rollout, reward=reward)
        with training(self.network):
            losses = self.update(scaled, generalised_advantage(scaled, config.gamma, config.gae_lambda))
        if self.network.normaliser is not None:  # only now, so that acting and learning normalise alike
            self.network.normaliser.update(rollout.observation, self.processes)
        assert self.statistics is not None
        return self.statistics.gather(rollout, losses)

    @property
    def moving(self) -> Any:
        """The discounted returns that run, beside the base's tree."""
        return super().moving, None if self.reward_normaliser is None else self.reward_normaliser.running

    @moving.setter
    def moving(self, tree: Any) -> None:
        base, running = tree
        Learner.moving.__set__(self, base)  # type: ignore[attr-defined]
        if self.reward_normaliser is not None:
            self.reward_normaliser.running = running

    def changing(self) -> list[Tensor]:
        """The reward's statistics and the weights of groups beside the policy's tensors."""
        modules = [module for module in (self.reward_normaliser, self.reweighing) if module is not None]
        return [*super().changing(), *(buffer for module in modules for buffer in module.buffers())]

    def state_dict(self) -> dict[str, Any]:
        """The reward's statistics and the weights of groups beside the policy's state."""
        state = super().state_dict()
        if self.reweighing is not None:
            state["reweighing"] = self.reweighing.state_dict()
        if self.reward_normaliser is not None:
            running = self.reward_normaliser.running
            running = None if running is None else self.processes.gather(running.clone())
            state["reward"] = self.reward_normaliser.state_dict(), running
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        if self.reweighing is not None:
            self.reweighing.load_state_dict(state["reweighing"])
        if self.reward_normaliser is not None:
            statistics, running = state["reward"]
            self.reward_normaliser.load_state_dict(statistics)
            self.reward_normaliser.running = None if running is None else self.processes.own(running.to(self.device))
