"""MultiTask: several tasks as one, of which each episode plays one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from ..checks.options import flag
from ..core.task import Observation, Step, Task
from ..core.tree import where
from ..drawing.choices import Choice

if TYPE_CHECKING:
    from ..drawing.canvas import Canvas

PART = "task"
MOST_TASKS = 64


@dataclass(frozen=True)
class MultiTaskState:
    """Which task is played, and where it stands.

    Attributes:
        which: (B,) int64 the task that the episode plays, by its place in the list.
        elapsed: (B,) int64 steps of the episode.
        inner: of each task a state; those of tasks that are not played stay as they began.
    """

    which: Tensor
    elapsed: Tensor
    inner: tuple[Any, ...]


class MultiTask(Task[MultiTaskState]):
    """Plays one of K tasks in each episode, drawn with equal chances: a batch holds all of them, one agent learns all.

    Observation: the task's, all of which have one space; where `shown`, a Dict with the part ``task``, Discrete(K), the
        place in the list of the task that is played, beside ``observation``, or beside the parts of a Dict.
    Action: the task's, all of which have one space.
    Reward: the task's.
    Episode: the task's; one whose own horizon is shorter than the longest terminates at it.
    Metrics: the task's, and each again with the task's place behind its name, as in ``accuracy_task0``; likewise
        ``reward_task0``, the mean reward of a step.
    Expert: the task's.
    Source: Caruana (1997), Multitask Learning.

    All tasks are computed in all rows, so that a step costs as much as a step of each. What episodes leave behind
    (`Task.made`) is not measured.

    Args:
        tasks: K of them.
        shown: the agent is told which task it plays.
    """

    def __init__(self, tasks: Sequence[Task[Any]], shown: bool = False) -> None:
        super().__init__()
        if not 1 <= len(tasks) <= MOST_TASKS:
            raise InvalidInput(f"MultiTask: tasks must be from 1 to {MOST_TASKS} of them; got {len(tasks)}")
        first, self.shown = tasks[0], flag(f"{tasks[0].name}: task_shown", shown)
        for number, task in enumerate(tasks):
            for what in ("observation_space", "action_space"):
                own, wanted = getattr(task, what), getattr(first, what)
                if own != wanted:
                    raise InvalidInput(
                        f"{first.name}: tasks must share one {what.replace('_', ' ')}; task 0 has {wanted}, "
                        f"task {number} has {own}"
                    )
        self.tasks = nn.ModuleList(tasks)
        self.observation_space = _shown(first, len(tasks)) if self.shown else first.observation_space
        self.action_space, self.horizon = first.action_space, max(task.horizon for task in tasks)
        self.reset_noise = 1 + max(task.reset_noise for task in tasks)
        self.step_noise = max(task.step_noise for task in tasks)
        self.still = all(task.still for task in tasks)

    @property
    def name(self) -> str:
        """The first task's name."""
        return self._each[0].name

    @property
    def _each(self) -> list[Task[Any]]:
        return list(self.tasks)  # type: ignore[arg-type]

    def reset(self, noise: Tensor) -> MultiTaskState:
        """The task that is played, and the first state of each."""
        which = (noise[:, 0] * len(self.tasks)).long()
        inner = tuple(task.reset(noise[:, 1 : 1 + task.reset_noise]) for task in self._each)
        return MultiTaskState(which, torch.zeros_like(which), inner)

    def step(self, state: MultiTaskState, action: Tensor, noise: Tensor) -> Step[MultiTaskState]:
        """The step of the task that is played; the others stay where they began."""
        steps = [
            task.step(inner, action, noise[:, : task.step_noise])
            for task, inner in zip(self._each, state.inner, strict=True)
        ]
        elapsed, inner = state.elapsed + 1, []
        reward, terminated = steps[0].reward, steps[0].terminated
        joined: dict[str, Tensor] = {}
        apart: dict[str, Tensor] = {}
        for number, (task, step, before) in enumerate(zip(self._each, steps, state.inner, strict=True)):
            played = state.which == number
            inner.append(where(played, step.state, before))
            ended = step.terminated | (elapsed >= task.horizon) if task.horizon < self.horizon else step.terminated
            reward, terminated = torch.where(played, step.reward, reward), torch.where(played, ended, terminated)
            for name, value in {**step.metrics, "reward": step.reward}.items():
                apart[name + _end(number)] = own = value.masked_fill(~played, torch.nan)
                if name in step.metrics:
                    joined[name] = torch.where(played, value, joined[name]) if name in joined else own
        return Step(MultiTaskState(state.which, elapsed, tuple(inner)), reward, terminated, joined | apart)

    def observe(self, state: MultiTaskState) -> Observation:
        """What the task that is played shows, and where `shown`, which it is."""
        seen = self._played(state, lambda task, inner: task.observe(inner))
        if not self.shown:
            return seen
        return {**(seen if isinstance(seen, dict) else {"observation": seen}), PART: state.which}

    def expert(self, state: MultiTaskState) -> Tensor:
        """That of the task that is played. Raises `NoExpert` where one of them has none."""
        return self._played(state, lambda task, inner: task.expert(inner))

    def _played(self, state: MultiTaskState, of: Callable[[Task[Any], Any], Any]) -> Any:
        """(B, ...) what a method gives of the task that is played."""
        found = of(self._each[0], state.inner[0])
        for number, task in enumerate(self._each[1:], 1):
            found = where(state.which == number, of(task, state.inner[number]), found)
        return found

    def summarise(self, metrics: dict[str, float]) -> dict[str, float]:
        """The means of all metrics, with what each task makes of its own."""
        for number, task in enumerate(self._each):
            end = _end(number)
            own = {name.removesuffix(end): value for name, value in metrics.items() if name.endswith(end)}
            metrics = metrics | {name + end: value for name, value in task.summarise(own).items()}
        return metrics

    def draw(self, state: MultiTaskState, canvas: Canvas) -> None:
        """The drawing of the task that is played, and which it is."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        number = int(state.which)
        self._each[number].draw(state.inner[number], canvas)
        self._told(number, canvas)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The player's view of the task that is played, where that is shown; else what is seen and nothing else."""
        if not self.shown:
            return super().draw_seen(observation, canvas)
        own = {name: part for name, part in observation.items() if name != PART}
        task = self._each[int(observation[PART])]
        task.draw_seen(own if isinstance(task.observation_space, spaces.Dict) else own["observation"], canvas)
        self._told(int(observation[PART]), canvas)

    def _told(self, number: int, canvas: Canvas) -> None:
        canvas.text(f"task {number} of 0 to {len(self.tasks) - 1}", (canvas.width // 2, 16), size=20, anchor="center")

    def choices(self) -> list[Choice]:
        """The first task's, where those of all are called alike; else none."""
        every = [task.choices() for task in self._each]
        return every[0] if all(one == every[0] for one in every) else []

    def entries(self) -> list[str]:
        """The first task's, where those of all are called alike; else none."""
        every = [task.entries() for task in self._each]
        return every[0] if all(one == every[0] for one in every) else []


def _shown(task: Task[Any], count: int) -> spaces.Dict:
    """A task's observation space with the part that tells which of so many it is."""
    own = task.observation_space
    parts = dict(own.spaces) if isinstance(own, spaces.Dict) else {"observation": own}
    if PART in parts:
        raise InvalidInput(f"{task.name}: task_shown must be False: an observation has a part {PART!r} of its own")
    return spaces.Dict({**parts, PART: spaces.Discrete(count)})


def _end(number: int) -> str:
    """Behind the name of a task's metric."""
    return f"_task{number}"
