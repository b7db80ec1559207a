"""What a task is: its rules for a whole batch, written as pure functions with the randomness as an input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import gymnasium.spaces as spaces
from torch import Tensor, nn

from ..drawing.choices import Choice
from .tree import tree_map

if TYPE_CHECKING:
    from ..drawing.canvas import Canvas

State = TypeVar("State")
Problem = TypeVar("Problem")
Observation = Tensor | dict[str, Tensor]


class NoExpert(NotImplementedError):
    """The task has no expert: no best action is known for its states."""


@dataclass(frozen=True)
class Step(Generic[State]):
    """What one step of the rules gives, for B environments.

    Attributes:
        state: the next state.
        reward: (B,) float32; for a `Game`, a dict of them by player.
        terminated: (B,) bool: the task itself has ended (the time limit is the adapter's business).
        metrics: named (B,) float32 values of this step; NaN where a step has none. What is reported is the mean
            over all steps that have one.
    """

    state: State
    reward: Any
    terminated: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Task(nn.Module, ABC, Generic[State]):
    """The rules of an environment, for B environments at once.

    `State` is a frozen dataclass of tensors whose first axis is the environment. The rule functions are pure: the same
    state, action and noise give the same result. Data sets and networks are buffers and sub-modules, so
    ``task.to(device)`` moves the whole environment.

    Attributes:
        observation_space: the space of one environment's observation. Images are uint8, channel first; tokens int64;
            everything else float32.
        action_space: the space of one environment's action.
        horizon: steps after which an episode is truncated.
        reset_noise: uniforms in [0, 1) that `reset` consumes per environment.
        step_noise: uniforms in [0, 1) that `step` consumes per environment.
        still: no step changes what is seen, as in a bandit: the observation after one is the one before it, and is not
            computed again.
        variants: options beside the defaults that are tested and have a row in the score table.
        random_return: mean return of uniformly random actions, an attribute or a property; None where it is not
            stated: then it is played when a score needs it.
        expert_return: that of the expert, or of what stands in for it, likewise.

    A task with goals (an observation with the parts `observation`, `achieved_goal` and `desired_goal`) may have a
    method ``goal_outcome(achieved, desired)``: rewards (N,) and whether the episode terminates (N,) for goals (N, ...).
    From it agents learn in hindsight.
    """

    variants: ClassVar[tuple[dict[str, Any], ...]] = ()
    random_return: float | None = None
    expert_return: float | None = None
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    horizon: int
    reset_noise: int = 0
    step_noise: int = 0
    still: bool = False

    @property
    def name(self) -> str:
        """The name used in error messages and pictures."""
        return type(self).__name__

    @abstractmethod
    def reset(self, noise: Tensor) -> State:
        """The first state of B episodes from uniforms (B, reset_noise)."""

    @abstractmethod
    def step(self, state: State, action: Tensor, noise: Tensor) -> Step[State]:
        """One step of B episodes: actions (B, ...) of the action space, uniforms (B, step_noise)."""

    @abstractmethod
    def observe(self, state: State) -> Observation:
        """What the agent sees of a state: (B, ...), or a dict of such tensors for a Dict space."""

    def expert(self, state: State) -> Tensor:
        """The best known action in each state, (B, ...). Raises `NoExpert` where there is none."""
        raise NoExpert(f"{self.name} has no expert")

    def summarise(self, metrics: dict[str, float]) -> dict[str, float]:
        """The means of all metrics over an evaluation, with what follows from them, such as the worst of several."""
        return metrics

    def made(self, action: Any, observation: Observation) -> Tensor | None:
        """What an episode leaves behind if the step with this action ends it, for `measured`; None in most tasks.

        Args:
            action: (B, ...) of the step.
            observation: (B, ...) what the step led to.

        Returns:
            Such as pictures, (B, ...) uint8; always or never None.
        """
        return None

    def measured(self, made: Tensor) -> dict[str, float]:
        """Further metrics of an evaluation: what all that its episodes left behind, (N, ...) on the CPU, is worth."""
        return {}

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor] | None:
        """Real pictures of the kind that the task is about, for who learns to make such ones; None in most tasks.

        Args:
            split: "train", "validation" or "test"; None for the task's own, and for "test" where it has none.

        Returns:
            Pictures (N, C, H, W) uint8 and their classes (N,) int64.
        """
        return None

    @abstractmethod
    def draw(self, state: State, canvas: Canvas) -> None:
        """Draws one environment's state (tensors without the environment axis) for people.

        For a spectator (`canvas.spectator`) all of it; for a player `draw_seen` of `observe_one`, and no more.
        """

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """Draws one environment's observation (without the environment axis) for who plays: the player's view."""
        from ..drawing.pictures import draw_observation

        draw_observation(self.observation_space, observation, canvas)

    def observe_one(self, state: State) -> Any:
        """One environment's observation of its state, both without the environment axis and on the CPU."""
        device = next((buffer.device for buffer in self.buffers()), None)
        batch: Any = tree_map(lambda tensor: tensor[None].to(device), state)
        return tree_map(lambda tensor: tensor[0].cpu(), self.observe(batch))

    def choices(self) -> list[Choice]:
        """What a person can press, with a name for each; none for the action space's plain values."""
        return []

    def entries(self) -> list[str]:
        """What the entries of an action are called, for people; none for their numbers."""
        return []

    def vocabulary(self, part: str | None = None) -> list[str]:
        """The words that an observation's numbers, or those of a Dict's part, stand for; none where they are no words.

        Args:
            part: of a Dict, its name; None for the whole.
        """
        return []


class ProblemTask(Task[State], Generic[State, Problem]):
    """A task whose episodes can share a problem (a bandit's arms, an MDP's tables), so its reset comes in two parts.

    Attributes:
        sample_noise: uniforms that `sample` consumes per environment.
        begin_noise: uniforms that `begin` consumes per environment.
        trial_episodes: episodes of the `Trial` that an id stands for; the option `episodes` changes it.
    """

    trial_episodes: ClassVar[int] = 1
    sample_noise: int = 0
    begin_noise: int = 0

    @abstractmethod
    def sample(self, noise: Tensor) -> Problem:
        """B problems from uniforms (B, sample_noise)."""

    @abstractmethod
    def begin(self, problem: Problem, noise: Tensor) -> State:
        """The first state of an episode of each problem, from uniforms (B, begin_noise)."""

    @property
    def reset_noise(self) -> int:  # type: ignore[override]
        """Uniforms per reset: those of `sample`, then those of `begin`."""
        return self.sample_noise + self.begin_noise

    def reset(self, noise: Tensor) -> State:
        """A new problem and its first episode, from uniforms (B, reset_noise)."""
        return self.begin(self.sample(noise[:, : self.sample_noise]), noise[:, self.sample_noise :])
