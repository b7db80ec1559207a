"""What random play, the best constant action and the expert return: the shipped table, and the command that remakes it.

``python -m palaestra.envs.score_table [NAME ...]`` plays every variant of the named environments, or of all that are
registered, and rewrites their rows of ``scores.json``. Variants of the test split have a row for validation as well.
Every row says how many episodes its means are taken over, with which standard errors, and from which seed on: remade,
it is the same.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..neural_blocks.errors import unknown_name
from .adapters.batched import BatchedEnv
from .core.actions import action_dtype, action_shape, bounds, random_action
from .core.game import Game, faced
from .core.task import NoExpert, ProblemTask, Task
from .registry import FURTHER, OWN, Options, each_task, make_game, make_task, task_class

TABLE = Path(__file__).with_name("scores.json")
EPISODES, PARALLEL, SEED = 16384, 4096, 2**40  # a seed range that no training run starts from
TRIED, TRIAL_SEED, MOST_TRIED = 1 / 32, 2**42, 64  # each constant's share of episodes, on other seeds; how many
PLAYED = 2048  # episodes of an environment of somebody else's, whose steps may be slow
CLEARLY = 0.05  # of the way from random play to the expert

Policy = Callable[[BatchedEnv], Tensor]


@dataclass(frozen=True)
class Scores:
    """Reference returns of one environment with one set of options.

    The normalised score of a return is 0 at `floor` and 1 at `expert`. The floor is random play, unless always taking
    one and the same action earns clearly more: passing, an empty canvas, the commonest class.

    Attributes:
        random: mean return of uniformly random actions.
        random_error: its standard error.
        trivial: mean return of the best constant action, found on other episodes.
        trivial_error: its standard error.
        trivial_action: that action; one number where all its parts are equal.
        expert: mean return of the task's expert, or of the reference that stands in for it; NaN where there is neither.
        expert_error: its standard error.
        episodes: episodes each mean is taken over; 0 where the task states them, and says nothing of constant actions.
        seed: of the first of these environments; the others have the seeds that follow.
    """

    random: float
    random_error: float
    trivial: float
    trivial_error: float
    trivial_action: Any
    expert: float
    expert_error: float
    episodes: int
    seed: int

    @property
    def floor(self) -> float:
        """The return that scores 0: of the best constant action if that has clearly (5 %) more than random play.

        NaN where the best constant action comes as near to the expert: then no score can be given.
        """
        share = (self.trivial - self.random) / (self.expert - self.random) if self.expert != self.random else math.nan
        if not share > CLEARLY:  # also where there is no expert
            return self.random
        return self.trivial if share < 1 - CLEARLY else math.nan

    @property
    def floor_policy(self) -> str:
        """What scores 0: "random", or "always 10" for the constant action 10."""
        return "random" if self.floor == self.random else f"always {self.trivial_action}"


def key(id: str, options: Options) -> str:
    """The table's key: the id and those options that are not the defaults, in a fixed order; not for several `tasks`.

    Raises:
        InvalidInput: an unknown id.
    """
    cls = task_class(id)
    options = {name: value for name, value in options.items() if name != "frame_stack"}  # the same task, seen otherwise
    defaults = {name: one.default for name, one in inspect.signature(cls).parameters.items()}
    if issubclass(cls, ProblemTask):
        defaults["episodes"] = cls.trial_episodes
    if issubclass(cls, Game):
        defaults["player"] = cls.players[0]
        if "opponent" in options:
            rules = {name: value for name, value in options.items() if name not in ("player", "opponent")}
            defaults["opponent"] = next(iter(faced(make_game(id, **rules), options.get("player", cls.players[0]))[1]))
    told = {name: one for name, one in options.items() if name not in defaults or _json(one) != _json(defaults[name])}
    return f"{id} {_json(told)}" if told else id


def _json(value: Any) -> str:
    def plain(one: Any) -> Any:
        return one.item() if isinstance(one, np.generic) else repr(one)

    return json.dumps(value, sort_keys=True, default=plain)


@lru_cache
def _table() -> dict[str, dict[str, Any]]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def scores(id: str, **options: Any) -> Scores:
    """Reference returns of an environment: from the shipped table, what the task states, or played now.

    Of several `tasks` they are means over those of each: the constant action is then each task's best.

    Raises:
        InvalidInput: an unknown id or option.
    """
    if FURTHER & options.keys():
        return _mean([scores(own, **more) for own, more in each_task(id, options)])
    found = _table().get(key(id, options))
    if found is not None:
        row: dict[str, Any] = {name: math.nan if value is None else value for name, value in found.items()}
        return Scores(**row)
    task = make_task(id, **options)
    if task.random_return is None or task.expert_return is None:
        return _played(id, _json(options), EPISODES if id in OWN else PLAYED)
    return Scores(task.random_return, 0.0, math.nan, math.nan, None, task.expert_return, 0.0, 0, 0)


def _mean(rows: Sequence[Scores]) -> Scores:
    """What is returned where each episode plays one of several tasks."""

    def mean(name: str) -> float:
        return sum(getattr(one, name) for one in rows) / len(rows)

    def error(name: str) -> float:
        return math.hypot(*(getattr(one, f"{name}_error") for one in rows)) / len(rows)

    actions = [one.trivial_action for one in rows]
    return Scores(
        random=mean("random"),
        random_error=error("random"),
        trivial=mean("trivial"),
        trivial_error=error("trivial"),
        trivial_action=actions[0] if all(one == actions[0] for one in actions) else actions,
        expert=mean("expert"),
        expert_error=error("expert"),
        episodes=min(one.episodes for one in rows),
        seed=rows[0].seed,
    )


@lru_cache
def _played(id: str, options: str, episodes: int) -> Scores:
    return measure(id, json.loads(options), episodes)


def measure(id: str, options: Options, episodes: int = EPISODES, constant: Any = None) -> Scores:
    """Plays an id at random, with one constant action, and as its expert.

    Args:
        id: of the environment.
        options: its options.
        episodes: of each, at least 2.
        constant: the action of the second; None for the best that is found.
    """
    task, generator = make_task(id, **options), torch.Generator().manual_seed(0)
    space = task.action_space
    if constant is None:
        action = _best_constant(task, max(16, round(TRIED * episodes)))
    else:
        action = torch.as_tensor(constant, dtype=action_dtype(space)).expand(action_shape(space))
    random = _returns(task, lambda env: random_action(space, env.num_envs, generator), episodes)
    trivial = _returns(task, lambda env: action.expand(env.num_envs, *action.shape), episodes)
    try:
        expert = _returns(task, lambda env: env.expert_action(), episodes)
    except NoExpert:
        expert = torch.full_like(random, torch.nan)
    told = np.asarray(action).round(6)
    return Scores(
        *_mean_and_error(random),
        *_mean_and_error(trivial),
        told.flat[0].item() if (told == told.flat[0]).all() else told.tolist(),
        *_mean_and_error(expert),
        episodes=len(random),
        seed=SEED,
    )


def _mean_and_error(returns: Tensor) -> tuple[float, float]:
    return round(float(returns.mean()), 6), round(float(returns.std()) / math.sqrt(len(returns)), 6)


def _returns(task: Task[Any], policy: Policy, episodes: int) -> Tensor:
    """The first episode's return in each of `episodes` environments, float64."""
    parallel = min(PARALLEL, episodes)
    firsts = range(0, episodes, parallel)
    return torch.cat([_first_episodes(BatchedEnv(task, parallel, seed=SEED + first), policy) for first in firsts])


def _first_episodes(env: BatchedEnv, policy: Policy) -> Tensor:
    """(B,) float64, the return of each environment's first episode."""
    env.reset()
    total, running = torch.zeros(env.num_envs, dtype=torch.float64), torch.ones(env.num_envs, dtype=torch.bool)
    while bool(running.any()):
        step = env.step(policy(env))
        total += step.reward.double() * running
        running &= ~step.done
    return total


def _best_constant(task: Task[Any], episodes: int) -> Tensor:
    """The action (...) that earns most on average if it is always taken, in so many episodes of its own."""
    candidates = constants(task.action_space)
    env = BatchedEnv(task, len(candidates) * episodes, seed=TRIAL_SEED)
    actions = candidates.repeat_interleave(episodes, 0)
    return candidates[_first_episodes(env, lambda _: actions).view(-1, episodes).mean(1).argmax()]


def constants(space: spaces.Space[Any]) -> Tensor:
    """The constant actions that are tried, (K, ...): every one of a discrete space, else eleven.

    The eleven go from the lowest to the highest value in all parts at once; an unbounded space gives zeros. A discrete
    space of more than 64 gives 64 of its actions, evenly spaced.
    """
    shape, dtype = action_shape(space), action_dtype(space)
    if isinstance(space, spaces.Box) and not space.is_bounded():
        return torch.zeros(1, *shape, dtype=dtype)
    low, high = (torch.as_tensor(bound, dtype=torch.float64).expand(shape) for bound in bounds(space))
    count = min(int(space.n), MOST_TRIED) if isinstance(space, spaces.Discrete) else 11
    share = torch.linspace(0, 1, count, dtype=torch.float64).view(-1, *[1] * len(shape))
    values = low + share * (high - low)
    return values.to(dtype) if dtype.is_floating_point else values.round().to(dtype).unique(dim=0)


def listed(id: str) -> Iterator[Options]:
    """The options that have a row: none, every tested variant, and the validation split of every test split."""
    for options in ({}, *task_class(id).variants):
        yield options
        if options.get("split") == "test":
            yield {**options, "split": "validation"}


def remake(names: Sequence[str] = ()) -> None:
    """Plays every listed variant of the named environments, or of all, and rewrites their rows of the table.

    Raises:
        InvalidInput: an unknown name.
    """
    own = {id.removeprefix("palaestra/").removesuffix("-v0"): id for id in OWN}
    for name in names:
        if name not in own:
            raise unknown_name("environment", name, own)
    known, table = _table(), dict[str, Any]()
    wanted = sum(len(list(listed(id))) for name, id in own.items() if not names or name in names)
    done, started = 0, time.monotonic()
    for name, id in own.items():
        for options in listed(id):
            place = key(id, options)
            if names and name not in names:
                table |= {place: known[place]} if place in known else {}
            elif place not in table:
                measured = asdict(measure(id, options, EPISODES))
                table[place] = {field: None if value != value else value for field, value in measured.items()}
                print(place, table[place], flush=True)
                done, spent = done + 1, time.monotonic() - started
                print(f"{done} of {wanted}, about {spent / done * (wanted - done):.0f} s left", file=sys.stderr)
                _write(known | table)  # what was measured is kept if it is stopped
    _write(table)


def _write(table: dict[str, Any]) -> None:
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n")


if __name__ == "__main__":
    remake(sys.argv[1:])
