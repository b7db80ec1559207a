"""Learning from whole episodes: the loop that MAML and the metric learners share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.tree import take
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Report
from ..core.config import AgentConfig
from ..learning import optimisers
from ..learning.learner import Learner, training
from ..learning.optimisation import OptimisationConfig
from ..learning.statistics import Numbers, continued_statistics


class EpisodeLearnerConfig(OptimisationConfig):
    """Settings of every learner from whole episodes.

    Attributes:
        rollout_steps: T, steps of an episode, or of a trial of several.
        tasks: episodes or trials in a gradient step.
    """

    rollout_steps: int = Field(25, ge=1)
    tasks: int = Field(25, ge=1)


class EpisodeLearner(Learner):
    """Plays one whole episode in every environment, learns from them a few at a time, and so on.

    Subclasses say what is collected and what the loss is.

    Attributes:
        network: what is learned.
        beside: parameters that are learned and do not belong to the network.
        plain: whether the loss is a plain function of the network, without a derivative within it.
    """

    Config: ClassVar[type[AgentConfig]] = EpisodeLearnerConfig
    plain: ClassVar[bool] = True
    network: nn.Module
    beside: nn.ParameterList

    def optimise(self, network: nn.Module, beside: list[nn.Parameter]) -> None:
        """Takes the network and the parameters beside it, and makes their optimiser; `build` ends with it."""
        self.network, self.beside = network.to(self.device).eval(), nn.ParameterList(beside)
        both = [*self.network.parameters(), *self.beside]
        self.parameters = [parameter for parameter in both if parameter.requires_grad]
        self.optimiser = optimisers.make_optimiser(self.parameters, self.config, self.beside)
        self.average(self.network, self.beside)
        self.watch(network=self.network)
        self.run_loss = self.compiled(self.loss) if self.plain else self.loss

    @abstractmethod
    def collect(self, env: BatchedEnvironment) -> tuple[Any, TimeStep]:
        """One whole episode in every environment: what `loss` takes, a tuple of (B, ...), and the T steps (T, B)."""

    @abstractmethod
    def loss(self, *batch: Any) -> Tensor:
        """Of some of the environments that `collect` played in."""

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        Episodes are played whole: environments that stand within one are reset.

        Raises:
            InvalidInput: episodes that do not all end after `rollout_steps` steps.
        """
        self.enter(env, steps)
        if not bool(env.episode_start.all()):
            env.reset()
            self.statistics = continued_statistics(self.statistics, env)
        while self.steps < steps:
            self.on_schedule([self.optimiser], self.steps / steps)
            numbers = self.run(self._iterate)
            if not bool(env.episode_start.all()) or float(numbers[0][2]) != env.num_envs:
                raise InvalidInput(
                    f"{type(self.config).__name__}: rollout_steps must be the steps of a whole episode or trial; got "
                    f"{self.config.rollout_steps}, and {env.name} has another length"
                )
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.report(numbers)

    def _iterate(self) -> Numbers:
        """One whole episode in every environment, and a pass over them."""
        assert self._env is not None
        assert self.statistics is not None
        batch, taken = self.collect(self._env)
        order = torch.arange(self._env.num_envs, device=self.device).split(self.config.tasks)
        with training(self.network):
            losses = [self.update(*take(batch, rows)) for rows in order]
        means = torch.stack(losses).mean(0)
        return self.statistics.gather(taken, dict(zip(("policy_loss", "gradient_norm"), means, strict=True)))

    def update(self, *batch: Any) -> Tensor:
        """One step of the optimiser on the loss; returns it and the gradient's norm, (2,)."""
        loss = self.run_loss(*batch)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        optimisers.prepare_gradients(self.parameters, self.config, self.beside)
        self.measure(self.parameters)
        norm = optimisers.scale_down(self.parameters, self.config)
        self.optimiser.step()
        if self.averaged is not None:
            self.averaged.update()
        return torch.stack([loss.detach(), norm])

    def changing(self) -> list[Tensor]:
        """Weights and optimiser beside the base's tensors."""
        weights = [*self.network.parameters(), *self.network.buffers(), *self.beside]
        return [*super().changing(), *weights, *optimisers.tensors(self.optimiser)]

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser beside the base's counters; between two iterations no episode is under way."""
        return super().state_dict() | {
            "network": self.network.state_dict(),
            "beside": self.beside.state_dict(),
            "optimiser": optimisers.saved(self.optimiser),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.network.load_state_dict(state["network"])
        self.beside.load_state_dict(state["beside"])
        optimisers.restore(self.optimiser, state["optimiser"])
