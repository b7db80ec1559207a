"""Trial: several episodes on one problem as a single task, on which an agent that learns to learn is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import integer
from ..drawing.choices import Choice
from .actions import action_dtype, action_shape, bounds
from .task import Observation, ProblemTask, Step, Task
from .tracing import row_by_row
from .tree import leaves, tree_map, where

if TYPE_CHECKING:
    from ..drawing.canvas import Canvas


PAST = ("previous_action", "previous_reward", "episode_start")  # what a trial adds to an observation


@dataclass(frozen=True)
class TrialState:
    """Where a trial stands.

    Attributes:
        problem: what all episodes of the trial share.
        inner: the state of the current episode.
        elapsed: (B,) int64 steps of the current episode.
        episode: (B,) int64 episodes finished.
        previous_action: (B, ...) the last action; at the trial's start 0, or the action space's value nearest to it.
        previous_reward: (B,) float32 what it brought, 0 at the trial's start.
        total: (B,) float32 the trial's reward so far.
    """

    problem: Any
    inner: Any
    elapsed: Tensor
    episode: Tensor
    previous_action: Tensor
    previous_reward: Tensor
    total: Tensor


class Trial(Task[TrialState]):
    """Keeps one sampled problem for n episodes and shows the agent what it just did and what that brought.

    Observation: Dict of the task's own (``observation``, or its entries if it is a Dict), ``previous_action`` (the
        action space), ``previous_reward`` (1,) float32 and ``episode_start`` (1,) float32, 1 on the first step of
        an episode. On the trial's first step both are 0, or what the action space has nearest to it.
    Action: the task's.
    Reward: the task's.
    Episode: a trial terminates when its n-th episode ends, be it by termination or by the task's own horizon.
    Expert: the task's.
    Source: Duan et al. (2016), RL²; Wang et al. (2016).

    Args:
        task: a task whose episodes can share a problem.
        episodes: n.
    """

    no_action: Tensor

    def __init__(self, task: Task[Any], episodes: int) -> None:
        super().__init__()
        if not isinstance(task, ProblemTask):
            raise InvalidInput(f"Trial: task must have problems that episodes can share; got {task.name}")
        self.task, self.episodes = task, integer("Trial: episodes", episodes, 1)
        self.horizon = episodes * task.horizon
        self.reset_noise = task.reset_noise
        self.step_noise = task.step_noise + task.begin_noise
        self.action_space = task.action_space
        low, high = (torch.as_tensor(bound) for bound in bounds(task.action_space))
        zero = torch.zeros(action_shape(task.action_space)).clamp(low, high).to(action_dtype(task.action_space))
        self.register_buffer("no_action", zero, persistent=False)
        inner = task.observation_space
        seen = dict(inner.spaces) if isinstance(inner, spaces.Dict) else {"observation": inner}
        self.observation_space = spaces.Dict(
            {
                **seen,
                "previous_action": task.action_space,
                "previous_reward": spaces.Box(-np.inf, np.inf, (1,), np.float32),
                "episode_start": spaces.Box(0, 1, (1,), np.float32),
            }
        )

    @property
    def name(self) -> str:
        """The task's own name."""
        return self.task.name

    def reset(self, noise: Tensor) -> TrialState:
        """A new problem, its first episode."""
        problem = self.task.sample(noise[:, : self.task.sample_noise])
        inner = self.task.begin(problem, noise[:, self.task.sample_noise :])
        zero = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        action = self.no_action.expand(len(noise), *self.no_action.shape)
        return TrialState(problem, inner, zero, zero, action, zero.float(), zero.float())

    def step(self, state: TrialState, action: Tensor, noise: Tensor) -> Step[TrialState]:
        """The task's step; where its episode ends, the next one begins on the same problem."""
        step = self.task.step(state.inner, action, noise[:, : self.task.step_noise])
        elapsed = state.elapsed + 1
        ended = step.terminated | (elapsed >= self.task.horizon)
        episode = state.episode + ended
        terminated = episode >= self.episodes
        again = ended & ~terminated  # the last episode's end stays visible
        inner = step.state
        if not row_by_row(again.device) or bool(again.any()):
            fresh = self.task.begin(state.problem, noise[:, self.task.step_noise :])
            inner = where(again, fresh, _carried(state, fresh, inner))
        following = TrialState(
            problem=state.problem,
            inner=inner,
            elapsed=elapsed.masked_fill(ended, 0),
            episode=episode,
            previous_action=action,
            previous_reward=step.reward,
            total=state.total + step.reward,
        )
        return Step(following, step.reward, terminated, step.metrics)

    def observe(self, state: TrialState) -> Observation:
        """The task's observation with the last action, the last reward and the episode's start beside it."""
        seen = self.task.observe(state.inner)
        return {
            **(seen if isinstance(seen, dict) else {"observation": seen}),
            "previous_action": state.previous_action,
            "previous_reward": state.previous_reward[:, None],
            "episode_start": (state.elapsed == 0).float()[:, None],
        }

    def expert(self, state: TrialState) -> Tensor:
        """The task's expert."""
        return self.task.expert(state.inner)

    def draw(self, state: TrialState, canvas: Canvas) -> None:
        """The task's drawing under a line that says which episode it is and what the trial has brought."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        self.task.draw(state.inner, canvas)
        told = [f"episode {min(int(state.episode) + 1, self.episodes)} of {self.episodes}"]
        if int(state.episode) or int(state.elapsed):
            told += [f"action {_numbers(state.previous_action)} brought {_short(float(state.previous_reward))}"]
            told += [f"total {_short(float(state.total))}"]
        canvas.text("   ".join(told), (canvas.width // 2, 20), size=24, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The task's player's view under a line of what was done before and whether an episode begins."""
        own = {name: part for name, part in observation.items() if name not in PAST}
        self.task.draw_seen(own if isinstance(self.task.observation_space, spaces.Dict) else own["observation"], canvas)
        begins, reward = bool(observation["episode_start"]), float(observation["previous_reward"])
        told = f"before: action {_numbers(observation['previous_action'])} brought {_short(reward)}"
        told += "   (an episode begins)" if begins else ""
        canvas.text(told, (canvas.width // 2, 20), size=24, anchor="center")

    def choices(self) -> list[Choice]:
        """The task's."""
        return self.task.choices()

    def entries(self) -> list[str]:
        """The task's."""
        return self.task.entries()


def _carried(state: TrialState, fresh: Any, after: Any) -> Any:
    """A traced step's state, with the problem's own tensor in place of each copy that episodes begin with and keep."""

    def own(new: Tensor, kept: Tensor, before: Tensor) -> Tensor:
        return new if kept is before and any(new is part for part in leaves(state.problem)) else kept

    return after if row_by_row(state.elapsed.device) else tree_map(own, fresh, after, state.inner)


def _numbers(action: Tensor) -> str:
    return ", ".join(_short(value) for value in action.flatten().tolist())


def _short(value: float) -> str:
    """At most two decimals, and no minus before a zero."""
    return f"{round(value, 2) + 0:g}"
