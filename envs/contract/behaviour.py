"""Checks of how a task behaves: pure rules, rows of their own, replay, resume, expert, pictures, devices."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn

from ...neural_blocks.findings import Fault
from ..adapters.batched import BatchedEnv
from ..adapters.single import SingleEnv
from ..core.actions import action_dtype, action_shape
from ..core.task import Task
from ..core.tree import leaves, take
from ..drawing.canvas import Canvas
from .probing import BATCH, STEPS, clones, expert_of, inside, play, require, same, sample_actions, walked

EPISODES, LONGEST = 64, 1000  # what the expert is compared over, and the steps of an episode that are played


def check_purity(task: Task[Any]) -> None:
    """The rules are pure: the same state, action and noise give the same result, and nothing is changed in place."""
    state, action, noise = walked(task)
    begun = torch.rand(BATCH, task.reset_noise, generator=torch.Generator().manual_seed(4))
    inputs = [*leaves(state), action, noise, begun]
    before, buffers = clones(inputs), clones(list(task.buffers()))
    calls: dict[str, Callable[[], Any]] = {
        "reset": lambda: task.reset(begun),
        "step": lambda: task.step(state, action, noise),
        "observe": lambda: task.observe(state),
        "expert": lambda: expert_of(task, state),
    }
    first = {}
    for name, call in calls.items():
        first[name] = clones(call())
        require(same(inputs, before), f"{name} changes a state, action or noise in place: make new tensors")
        require(same(list(task.buffers()), buffers), f"{name} changes a buffer of the task: what changes is the state")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)  # a rule that draws by itself now draws something else
        for name, call in calls.items():
            told = f"{name} must give the same for the same inputs: chance comes from the noise alone"
            require(same(first[name], clones(call())), told)


def check_rows(task: Task[Any]) -> None:
    """Every environment of a batch goes its own way."""
    state, action, noise = walked(task)
    order = torch.tensor([3, 0, 4, 2, 1])
    together, shuffled = task.step(state, action, noise), task.step(take(state, order), action[order], noise[order])
    for a, b in zip(leaves(together), leaves(shuffled), strict=True):
        equal = torch.allclose(a[order].double(), b.double(), atol=1e-6, equal_nan=True)
        require(equal, "step must treat every row on its own: shuffled environments gave something else")


def check_replay(task: Task[Any]) -> None:
    """Row i of a batch seeded s plays exactly the episodes of a single environment seeded s + i."""
    actions = sample_actions(task, min(STEPS, 3 * task.horizon))
    together = play(BatchedEnv(task, BATCH, seed=7), actions)
    for row in (0, BATCH - 2):
        alone = play(BatchedEnv(task, 1, seed=7 + row), [action[row : row + 1] for action in actions])
        equal = same([tensor[row : row + 1] for tensor in together], alone)
        require(equal, f"row {row} of a batch must play as one environment does; it differs (rounding counts)")


def check_resume(task: Task[Any]) -> None:
    """A batch that was saved goes on exactly; the file holds tensors and plain values only."""
    actions = sample_actions(task, 12)
    env, other = BatchedEnv(task, BATCH, seed=1), BatchedEnv(task, BATCH, seed=2)
    play(env, actions[:6])
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for action in actions[6:]:
        equal = same(leaves(env.step(action)), leaves(other.step(action)))
        require(equal, "a saved batch must go on as it would have: the state must hold all that changes")


def check_expert(task: Task[Any]) -> str | None:
    """The expert's actions lie in the action space, and it returns more than random play."""
    state, _, _ = walked(task)
    action = expert_of(task, state)
    if action is None:
        return "there is none; imitation and scores need one (or random_return and expert_return)"
    wanted, dtype = (BATCH, *action_shape(task.action_space)), action_dtype(task.action_space)
    told = f"an expert's actions must be {dtype} {wanted}; got {action.dtype} {tuple(action.shape)}"
    require(action.shape == wanted and action.dtype == dtype, told)
    inside(task.action_space, action, "an expert's action", "in the middle of an episode")
    expert, random = _mean_return(task, True), _mean_return(task, False)
    require(expert > random, f"the expert must return more than random play; got {expert:.4g} and {random:.4g}")
    return f"expert {expert:.4g}, random {random:.4g}"


def _mean_return(task: Task[Any], expert: bool) -> float:
    """Over the first episode, or its first thousand steps, of 64 environments."""
    env = BatchedEnv(task, EPISODES, seed=2**40)
    env.reset()
    actions = sample_actions(task, 20, EPISODES)
    total, running = torch.zeros(EPISODES, dtype=torch.float64), torch.ones(EPISODES, dtype=torch.bool)
    for time in range(min(task.horizon, LONGEST)):
        step = env.step(env.expert_action() if expert else actions[time % len(actions)])
        total += step.reward.double() * running
        running &= ~step.done
        if not bool(running.any()):
            break
    return float(total.mean())


def check_pictures(task: Task[Any]) -> None:
    """A spectator's and a player's picture can be drawn, are the same each time, and leave the state alone."""
    env = BatchedEnv(task, 1, seed=5, autoreset=AutoresetMode.DISABLED)
    env.reset()
    for moment in ("first", "next"):
        state = env.row(0)
        before = clones(state)
        for spectator in (True, False):
            frames = []
            for _ in range(2):
                canvas = Canvas(spectator=spectator)
                task.draw(state, canvas)
                frames.append(canvas.frame())
            view = f"the {'spectator' if spectator else 'player'}'s picture of the {moment} state"
            require(np.array_equal(frames[0], frames[1]), f"{view} must be the same each time it is drawn")
            require(not np.array_equal(frames[0], Canvas().frame()), f"{view} is empty: draw something in `draw`")
        require(same(leaves(state), before), "draw must leave the state as it is")
        if moment == "first":
            env.step(sample_actions(task, 1, 1)[0])


def check_device(task: Task[Any]) -> None:
    """All tensors move with `task.to(device)`, and no rule waits for a value or makes a tensor elsewhere."""
    for prefix, module in task.named_modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            inside = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            )
            if any(isinstance(one, Tensor | nn.Module) for one in inside):
                where = ".".join(filter(None, [prefix, name]))
                raise Fault(f"self.{where} holds a tensor that task.to(device) leaves behind: use register_buffer")
    rule = "on another device rules must make tensors where the noise is and decide nothing by a tensor's value"
    moved = copy.deepcopy(task).to("meta")  # a device that computes shapes alone and refuses to mix with another
    try:
        state = moved.reset(torch.zeros(BATCH, task.reset_noise, device="meta"))
        action, noise = sample_actions(task, 1)[0].to("meta"), torch.zeros(BATCH, task.step_noise, device="meta")
        step = moved.step(state, action, noise)
        advised = expert_of(moved, state)
        seen = leaves(step) + leaves(moved.observe(step.state)) + leaves(advised)
    except (RuntimeError, NotImplementedError) as error:
        raise Fault(f"{rule}: {type(error).__name__}: {error}"[:400]) from error
    require(all(tensor.device.type == "meta" for tensor in seen), f"{rule}; a result stayed on the CPU")


def check_gymnasium(task: Task[Any]) -> None:
    """Gymnasium's own checker finds no fault."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(SingleEnv(task, "rgb_array"), skip_render_check=True)
    faults = [str(warning.message) for warning in caught if "infinity" not in str(warning.message)]
    if faults:  # a feature without a bound has an infinite one
        raise Fault(f"Gymnasium's checker says: {faults[0]}")
