"""The native adapter: a task as a batch of environments with noise, time limit and autoreset."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown, unknown_name
from ..checks.options import LARGEST_SEED, MOST_ENVIRONMENTS, fresh_seed, integer, torch_device
from ..checks.room import require_room, space_bytes
from ..core.actions import ActionCheck
from ..core.batch import Advance, Batch
from ..core.execution import Unit, copied, resolved
from ..core.game import GameActionCheck
from ..core.noise import RESET, STEP, NoiseStream
from ..core.program import Program
from ..core.protocol import TimeStep
from ..core.task import Observation, Task
from ..core.tree import leaves, put, take, tree_map
from ..drawing.canvas import Canvas
from ..drawing.text_canvas import TextCanvas
from .compiled_batch import CompiledBatch


class BatchedEnv:
    """B environments of one task, as tensors on one device. Agents train on this.

    Row i of a batch seeded s plays exactly the episodes that one environment seeded s + i plays, for the same actions,
    whatever the batch size, the device, the autoreset mode and the execution. For a `Game`, actions, observations and
    rewards are dicts by player.

    Args:
        task: the rules; moved to `device`.
        num_envs: B.
        device: where every tensor lives.
        seed: of environment 0; None for a fresh one, which the attribute `seed` tells.
        autoreset: SAME_STEP (an ended environment restarts within the step and `TimeStep.final_observation` keeps what
            it led to), NEXT_STEP (it restarts at the next step, whose action it ignores) or DISABLED (the caller
            restarts it with ``reset(rows=...)`` before the next step).
        execution: how a step is run: "eager", "compiled" (as one fused program; the first step takes seconds),
            "captured" (on CUDA only: that program as a CUDA graph), or "auto", captured on CUDA and eager elsewhere.

    Attributes:
        seed: of environment 0, or one of each (B,) where `reset` was given those; None after `load_state_dict`.
        advance: one step as a pure function of `batch` and actions, for a compiled function to trace through.

    Raises:
        InvalidInput: a number of environments below 1, a wrong seed, or an execution that the device does not have.
    """

    def __init__(
        self,
        task: Task[Any],
        num_envs: int,
        *,
        device: torch.device | str = "cpu",
        seed: int | None = None,
        autoreset: AutoresetMode = AutoresetMode.SAME_STEP,
        execution: str = "auto",
    ) -> None:
        self.name = task.name
        self.device = torch_device(f"{self.name}: device", device)
        self.execution = resolved(f"{self.name}: execution", execution, self.device)
        self.num_envs = integer(f"{self.name}: num_envs", num_envs, 1, MOST_ENVIRONMENTS)
        row = 4 * space_bytes(task.observation_space) + 16 * (task.reset_noise + task.step_noise) + 256
        require_room(f"{self.name}: num_envs {num_envs}", float(row) * self.num_envs, self.device)
        self.task = task.to(self.device)
        self.observation_space, self.action_space = task.observation_space, task.action_space
        self.autoreset = autoreset_mode(self.name, autoreset)
        check: Any = GameActionCheck if isinstance(self.action_space, spaces.Dict) else ActionCheck
        self.check_action = check(self.action_space, num_envs, self.device, self.name)
        self.seed: int | Tensor | None = fresh_seed() if seed is None else seed
        seeds = self._seeds(self.seed)
        self._resets = NoiseStream(RESET, task.reset_noise, seeds)
        self._steps = NoiseStream(STEP, task.step_noise, seeds)
        self._no_reward = torch.zeros(num_envs, dtype=torch.float32, device=self.device)
        self._none = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._on_cpu: Task[Any] | None = None
        self._state: Any = None
        self._elapsed, self._ended = torch.zeros(num_envs, dtype=torch.int64, device=self.device), self._none
        self._observation: Observation | None = None
        self.advance = Advance(task, self.autoreset)
        self._run: Any = self._runner()
        self._row_by_row = self.execution == "eager" and self.device.type == "cpu"
        # After a step that is not row by row the batch is one tree, or a program's flat tensors; `_settle` opens it.
        self._batch: Batch | None = None
        self._flat: list[Tensor] | None = None
        self._settled = True

    def _runner(self) -> Any:
        """What runs `advance`."""
        if self.execution == "compiled" and self.device.type == "cpu":
            return CompiledBatch(self.advance, self.check_action, self.name)
        return Unit(self.advance, self.execution, name=self.name, closed=True).run

    def _seeds(self, seed: Any) -> Tensor:
        if isinstance(seed, int | np.integer) and not isinstance(seed, bool):
            first = integer(f"{self.name}: seed", seed, -LARGEST_SEED, LARGEST_SEED)
            return first + torch.arange(self.num_envs, device=self.device)
        if isinstance(seed, Tensor) and seed.dtype == torch.int64 and seed.shape == (self.num_envs,):
            return seed.to(self.device)
        raise InvalidInput(
            f"{self.name}: seed must be a whole number or an int64 tensor ({self.num_envs},); got {shown(seed)}"
        )

    @property
    def batch(self) -> Batch:
        """All that changes, as one tree: what `advance` takes. To set it is to continue from there.

        Under execution "captured" the next step overwrites its tensors.
        """
        if self._batch is None and self._flat is not None:
            self._batch = self._run.unflattened(self._flat)
        if self._batch is None:
            resets, steps = self._resets.state_dict(), self._steps.state_dict()
            self._batch = Batch(
                elapsed=self._elapsed,
                ended=self._ended,
                state=self._state_or_raise(),
                observation=self.observation,
                reset_key=resets["key"],
                step_key=steps["key"],
                resets=resets["counter"],
                steps=steps["counter"],
            )
        return self._batch

    @batch.setter
    def batch(self, batch: Batch) -> None:
        self._batch, self._flat, self._settled = batch, None, False
        self._observation = batch.observation
        self._settle()

    def _settle(self) -> None:
        """Opens the tree that the last step left, for what is done to single parts of it."""
        if not self._settled:
            batch = self.batch
            self._state, self._elapsed, self._ended = batch.state, batch.elapsed, batch.ended
            self._resets.load_state_dict({"key": batch.reset_key, "counter": batch.resets})
            self._steps.load_state_dict({"key": batch.step_key, "counter": batch.steps})
            self._settled = True

    def _state_or_raise(self) -> Any:
        if self._state is None:
            raise InvalidInput(f"{self.name}: reset() must be called before anything else")
        self._settle()
        return self._state

    @property
    def started(self) -> bool:
        """Whether `reset` was ever called."""
        return self._state is not None

    @property
    def state(self) -> Any:
        """The task's state of all environments."""
        state = self._state_or_raise()
        return copied(state) if self.execution == "captured" else state

    @property
    def observation(self) -> Observation:
        """(B, ...) the current observation."""
        if self._observation is None:
            self._observation = self.task.observe(self.state)
        return self._observation

    @property
    def episode_start(self) -> Tensor:
        """(B,) bool: the current observation is the first of its episode."""
        return self._elapsed == 0

    @property
    def ended(self) -> Tensor:
        """(B,) bool: the episode is over and the environment waits for its reset (never under SAME_STEP)."""
        return self._ended.clone() if self.execution == "captured" else self._ended

    def reset(self, seed: int | Tensor | None = None, *, rows: Tensor | None = None) -> Observation:
        """Starts a new episode everywhere, or in the given rows only.

        Args:
            seed: starts the episodes of seed + i in row i; or int64 (B,) seeds, one a row. None: the next episodes.
            rows: int64 indices (B',) of the environments to restart; the others stay where they are.

        Returns:
            The observation of all environments, (B, ...).
        """
        self._settle()
        if seed is not None:
            seeds = self._seeds(seed)
            for stream in (self._resets, self._steps):
                stream.reseed(seeds if rows is None else seeds[rows], rows)
            self.seed = seed if rows is None else self.seed
        if rows is None or self._state is None:
            self._state = self.task.reset(self._resets.draw())
            self._elapsed = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
            self._ended = self._none
        else:
            self._state = put(self._state, rows, self.task.reset(self._resets.draw_rows(rows)))
            self._elapsed = self._elapsed.index_fill(0, rows, 0)
            self._ended = self._ended.index_fill(0, rows, False)
        self._observation = self._batch = self._flat = None
        return self.observation

    def step(self, action: Any) -> TimeStep:
        """One step of every environment.

        Raises:
            InvalidInput: the action has a wrong shape or dtype, or (on the CPU) a value outside the action space; or,
                with autoreset disabled, an environment has ended and was not reset; or the task cannot be compiled.
        """
        if self._state is None:
            raise InvalidInput(f"{self.name}: reset() must be called before anything else")
        compiled = isinstance(self._run, CompiledBatch)
        if not (compiled and self._run.check.plain(action)):
            action = self.check_action(action)
        if self.autoreset is AutoresetMode.DISABLED:
            self.refuse_ended()
        if compiled:
            return self._step_compiled(action)
        if not self._row_by_row:
            return self._step_at_once(action)
        self._settle()
        self._batch = None
        if self.autoreset is AutoresetMode.NEXT_STEP:
            return self._step_or_restart(action)
        transition = self.task.step(self._state, action, self._steps.draw())
        elapsed, terminated = self._elapsed + 1, transition.terminated
        truncated = (elapsed >= self.task.horizon) & ~terminated
        final = self.observation if self.task.still else self.task.observe(transition.state)
        self._state, self._elapsed, self._observation = transition.state, elapsed, final
        if self.autoreset is AutoresetMode.DISABLED:
            self._ended = terminated | truncated
        else:
            self._restart(terminated | truncated)
        return TimeStep(self.observation, transition.reward, terminated, truncated, final, transition.metrics)

    def refuse_ended(self) -> None:
        """Raises `InvalidInput` where an episode is over and its environment was not reset."""
        if bool(self._ended.any()):
            rows = self._ended.nonzero().squeeze(1).tolist()
            raise InvalidInput(
                f"{self.name}: environments {rows} have ended; reset them (reset_mask) before the next step"
            )

    def _step_compiled(self, action: Any) -> TimeStep:
        """A step by programs on the CPU, which judge the actions' values."""
        if self._flat is None:
            self._flat = self._run.flattened(self.batch, action)
        found = self._run.step(self._flat, action)
        if found is None:
            self.check_action(action)  # which says what is wrong
            raise AssertionError(f"{self.name}: a program refused an action that the check lets pass")
        self._flat, step = found
        self._batch, self._settled = None, False
        self._elapsed, self._ended = self._flat[:2]
        self._observation = step.observation
        return step

    def _step_at_once(self, action: Any) -> TimeStep:
        """A step by `advance`, eager, or on CUDA compiled or captured."""
        step: TimeStep
        if isinstance(self._run, Program):
            if self._flat is None:
                self._flat = self._run.flattened(self.batch, action)
            self._flat, step = self._run.flat([*self._flat, *(one.contiguous() for one in leaves(action))])
            self._batch, self._elapsed, self._ended = None, *self._flat[:2]
        else:
            self._batch, step = self._run(self.batch, action)
            self._elapsed, self._ended = self._batch.elapsed, self._batch.ended
        self._observation, self._settled = step.observation, False
        return step

    def _restart(self, done: Tensor) -> None:
        """Begins the next episode where one has ended, and computes nothing for the others."""
        rows = done.nonzero().squeeze(1)
        if len(rows) == self.num_envs:
            self._state, self._elapsed = self.task.reset(self._resets.draw()), torch.zeros_like(self._elapsed)
            self._observation = self.task.observe(self._state)
        elif len(rows):
            fresh, before = self.task.reset(self._resets.draw_rows(rows)), (self._state, self.observation)
            self._state, self._observation = put(before, rows, (fresh, self.task.observe(fresh)))
            self._elapsed = self._elapsed.index_fill(0, rows, 0)

    def _step_or_restart(self, action: Tensor) -> TimeStep:
        """A step under NEXT_STEP: an environment that has ended restarts instead, and draws no step noise."""
        waiting = self._ended
        transition = self.task.step(self._state, action, self._steps.draw_where(~waiting))
        self._elapsed = self._elapsed + 1
        terminated = transition.terminated & ~waiting
        truncated = (self._elapsed >= self.task.horizon) & ~transition.terminated & ~waiting
        self._state, self._observation = transition.state, self.task.observe(transition.state)
        self._restart(waiting)
        self._ended = terminated | truncated
        reward = tree_map(lambda one: torch.where(waiting, self._no_reward, one), transition.reward)
        metrics = {name: value.masked_fill(waiting, torch.nan) for name, value in transition.metrics.items()}
        return TimeStep(self.observation, reward, terminated, truncated, self.observation, metrics)

    def expert_action(self) -> Tensor:
        """(B, ...) the task's expert in the current state. Raises `NoExpert` where there is none."""
        return self.task.expert(self._state_or_raise())

    @property
    def goal_outcome(self) -> Any:
        """The task's `goal_outcome`; None where it knows no goals."""
        return getattr(self.task, "goal_outcome", None)

    def row(self, index: int) -> Any:
        """One environment's state without the environment axis, on the CPU: what `Task.draw` takes."""
        return tree_map(lambda tensor: tensor.cpu(), take(self.state, index))

    def frames(self, spectator: bool = True) -> list[NDArray[np.uint8]]:
        """One picture of each environment's current state, (480, 480, 3) uint8: a spectator's, or a player's."""
        pictures, canvas = [], Canvas(spectator=spectator)
        for index in range(self.num_envs):
            canvas.clear()
            self.draw(index, canvas)
            pictures.append(canvas.frame())
        return pictures

    def texts(self, spectator: bool = False) -> list[str]:
        """Each environment's current view as lines of text: a player's, or a spectator's with hidden state too."""
        told, canvas = [], TextCanvas(spectator=spectator)
        for index in range(self.num_envs):
            canvas.clear()
            self.draw(index, canvas)
            told.append("\n".join(canvas.lines()))
        return told

    def draw(self, index: int, canvas: Canvas) -> None:
        """Draws one environment: for a spectator its state, for a player its observation, whatever the task draws."""
        if canvas.spectator:
            self._drawing.draw(self.row(index), canvas)
        else:
            self._drawing.draw_seen(tree_map(lambda part: part.cpu(), take(self.observation, index)), canvas)

    @property
    def _drawing(self) -> Task[Any]:
        """The rules on the CPU, where one environment is drawn: a copy of them if they are elsewhere."""
        if self.device.type == "cpu":
            return self.task
        if self._on_cpu is None:
            self._on_cpu = copy.deepcopy(self.task).to("cpu")
        return self._on_cpu

    def state_dict(self) -> dict[str, Any]:
        """State, clocks and noise counters as tensors: everything that decides what comes next."""
        batch: Batch = tree_map(torch.clone, self.batch)
        return {
            "state": leaves(batch.state),
            "elapsed": batch.elapsed,
            "ended": batch.ended,
            "resets": {"key": batch.reset_key, "counter": batch.resets},
            "steps": {"key": batch.step_key, "counter": batch.steps},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved batch of the same task and size stood.

        Raises:
            InvalidInput: the saved batch has another number of environments or another state.
        """
        if self._state is None:
            self.reset()
        self._settle()
        saved = iter(state["state"])

        def restore(tensor: Tensor) -> Tensor:
            value = next(saved, None)
            if value is None or value.shape != tensor.shape:
                shape = None if value is None else tuple(value.shape)
                raise InvalidInput(f"{self.name}: saved state must have shape {tuple(tensor.shape)}; got {shape}")
            return value.to(self.device)

        restored = tree_map(restore, self._state)
        if next(saved, None) is not None:
            have, got = len(leaves(restored)), len(state["state"])
            raise InvalidInput(f"{self.name}: saved state must have {have} tensors; got {got}")
        self._state = restored
        self._elapsed, self._ended = state["elapsed"].to(self.device), state["ended"].to(self.device)
        self._resets.load_state_dict(state["resets"])
        self._steps.load_state_dict(state["steps"])
        self._observation = self._batch = self._flat = self.seed = None


def autoreset_mode(name: str, mode: object) -> AutoresetMode:
    """The mode, given as itself or by its value ("SameStep"); `name` is the environment's, for messages."""
    found = {one.value: one for one in AutoresetMode}
    if isinstance(mode, AutoresetMode):
        return mode
    if not isinstance(mode, str) or mode not in found:
        raise unknown_name(f"{name}: autoreset_mode", mode, found)
    return found[mode]
