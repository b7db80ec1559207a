"""What learners from recorded steps share: the recording, drawing from it, and the loop."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.tree import take, tree_map
from ...neural_blocks.errors import Diverged
from ..core.agent import Report
from ..core.randomness import REPLAY
from ..imitation.demonstrations import Demonstration
from ..learning.learner import training
from ..learning.optimisation import OptimisationConfig
from ..value.off_policy import OffPolicyAgent
from .recorded import Steps, record, steps_of


class OfflineConfig(OptimisationConfig):
    """Settings of every agent that learns from recorded steps, beside its networks', which have no memory.

    Attributes:
        updates: gradient steps in an iteration.
        batch_size: recorded steps in each; each of them counts as a step of training.
        gamma: discount.
        target_rate: how far the target of the actions' values moves at each gradient step.
        demonstration_steps: steps of each environment that are recorded where no demonstration is given.
        expert_share: of the environments in which they are, those in which the expert plays, the others at random.
    """

    hindsight: ClassVar[None] = None
    action_noise: ClassVar[None] = None
    updates: int = Field(32, ge=1)
    batch_size: int = Field(256, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)
    target_rate: float = Field(0.005, gt=0, le=1)
    demonstration_steps: int = Field(128, ge=1)
    expert_share: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _looks_at_single_steps(self) -> Self:
        for name, only in (("memory", None), ("network", "perceptron"), ("beam", 1)):
            if getattr(self, name, only) != only:
                told = "null" if only is None else repr(only)
                raise ValueError(f"{name} must be {told}; got {getattr(self, name)!r}")
        return self


class OfflineAgent(OffPolicyAgent):
    """An agent that learns from steps that others took, and never plays to learn. Subclasses say what an update is.

    Attributes:
        demonstration: what was done and what it brought, on the agent's device. Unless it is set before `learn`, steps
            of the task's own expert and of random play are recorded first, in the environments to learn in.
        numbers: names of what an update returns, in order.
    """

    for_learning = ("demonstration",)
    numbers: ClassVar[tuple[str, ...]]
    demonstration: Demonstration | None
    _steps: Steps | None

    def build(self) -> None:
        """No recording yet."""
        self.demonstration, self._steps = None, None
        super().build()

    @abstractmethod
    def raw(self, label: Tensor) -> Tensor:
        """Raw actions (N, ...) of the action space's own (N, ...)."""

    def random(self, noise: Tensor) -> Tensor:
        """It never plays to learn, so it never plays at random."""
        raise NotImplementedError

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
            self._steps = steps_of(self.name, self.demonstration, self.raw, config.gamma)
            self.forget_updates()
        if env is not self._env:
            self._env, self._iterations = env, None
        if self.execution == "captured" and not env.started:
            env.reset()  # a graph holds the environments' state too
        while self.steps < steps:
            self.progress.fill_(self.steps / steps)
            self.on_schedule(list(self.optimisers.values()), self.steps / steps)
            found: Any = self.run(self._fit)
            self.steps += config.updates * config.batch_size
            self.updates += config.updates
            means = dict(zip(self.numbers, found.tolist(), strict=True))
            for name, number in means.items():
                if not math.isfinite(number):
                    raise Diverged(self.updates // config.updates, name, number)
            yield {"steps": float(self.steps), **means}

    def _fit(self) -> Any:
        """Gradient steps on what was recorded; the means of their numbers."""
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
