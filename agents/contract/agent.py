"""Holds an agent to the contract that every agent of the suite keeps."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...envs.adapters.batched import BatchedEnv
from ...envs.core.actions import action_dtype, action_shape
from ...envs.makers import make_batched
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.findings import Fault, Report, examine
from ..core.agent import Agent
from ..core.checkpoint import read_checkpoint
from ..core.config import AgentConfig
from ..core.evaluation import evaluate
from ..registry import agent_class, make

NUM_ENVS, STEPS = 4, 100_000
REPORTS = 2  # that an agent learns before and after it is saved
HOMES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("palaestra/TabularBandit-v0", {}),
    ("palaestra/RepeatPrevious-v0", {}),
    ("palaestra/Sinusoid-v0", {"episodes": 1}),
    ("palaestra/BernoulliBandit-v0", {}),
    ("palaestra/TabularMDP-v0", {}),
    ("palaestra/PointGoal-v0", {}),
    ("palaestra/FewShot-v0", {}),
    ("palaestra/GANGame-v0", {}),
    ("palaestra/DigitBandit-v0", {}),
    ("palaestra/PatternCompletion-v0", {}),
)
"""Where an agent is tried unless somebody says where: the first of these whose spaces it serves."""


class Trial:
    """One agent and where it is tried: makes both anew as often as a check needs them.

    Args:
        name: of the agent, or "module:Class".
        environment: an id or "module:Class"; None for the first of `HOMES` that it serves.
        settings: of the agent.
    """

    def __init__(self, name: str, environment: str | None, settings: dict[str, Any]) -> None:
        self.name, self.settings, self.cls = name, settings, agent_class(name)
        self.home, self.options = self._home() if environment is None else (environment, {})

    def _home(self) -> tuple[str, dict[str, Any]]:
        refused = ""
        for home, options in HOMES:
            env = make_batched(home, 1, **options)
            if not isinstance(env.observation_space, self.cls.observation_spaces):
                continue
            if not isinstance(env.action_space, self.cls.action_spaces):
                continue
            try:
                make(self.name, env, **self.settings)
                return home, options
            except InvalidInput as error:
                refused = f" ({error})"
        raise InvalidInput(f"{self.name}: serves none of the environments that are tried: name one with --env{refused}")

    def env(self) -> BatchedEnv:
        """Four environments, not reset."""
        return make_batched(self.home, NUM_ENVS, seed=5, **self.options)

    def agent(self, env: BatchedEnv, seed: int = 3) -> Agent:
        """The agent, for these environments."""
        return make(self.name, env, seed=seed, **self.settings)


def check(name: str, environment: str | None = None, **settings: Any) -> Report:
    """Holds an agent to the contract that every agent of the suite keeps, in a small environment.

    Args:
        name: of the agent, or "module:Class".
        environment: an id or "module:Class" to try it in; None for the first small one whose spaces it serves.
        settings: of the agent.

    Returns:
        A report: print it, iterate over its findings, or ask whether it `passed`.

    Raises:
        InvalidInput: an unknown name, or an agent that cannot be made.
    """
    trial = Trial(name, environment, settings)
    return Report(
        f"{name} in {trial.home}", tuple(examine(name, {key: partial(f, trial) for key, f in CHECKS.items()}))
    )


def _require(fact: bool, told: str) -> None:
    if not fact:
        raise Fault(told)


def differences(one: Any, other: Any, path: str = "state") -> list[str]:
    """The places where two states are not the same, bit for bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.dtype == other.dtype and np.array_equal(one.cpu(), other.cpu(), equal_nan=one.is_floating_point())
        return [] if same else [path]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [place for key in one for place in differences(one[key], other[key], f"{path}[{key!r}]")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [place for k, (a, b) in pairs for place in differences(a, b, f"{path}[{k}]")]
    equal = one == other or (one != one and other != other)  # NaN
    return [] if type(one) is type(other) and equal else [path]


def check_docstring(trial: Trial) -> None:
    """The class says what it is."""
    told = f"{trial.cls.__name__} must have a docstring of its own: its first line is what lists show"
    _require(bool((trial.cls.__dict__.get("__doc__") or "").strip()), told)


def check_configuration(trial: Trial) -> str | None:
    """Settings have defaults, and a wrong one is refused."""
    config = trial.cls.Config
    _require(isinstance(config, type) and issubclass(config, AgentConfig), "Config must be derived from AgentConfig")
    config()
    try:
        config(**{"no_such_setting": 1})
    except InvalidInput:
        return None if config is not AgentConfig else "it has no settings"
    raise Fault("Config must refuse an unknown setting: keep AgentConfig's model_config")


def check_spaces(trial: Trial) -> None:
    """Spaces that it does not claim are refused."""
    env = trial.env()
    for kind in ("observation", "action"):
        claimed = getattr(trial.cls, f"{kind}_spaces")
        fits = isinstance(claimed, tuple) and all(isinstance(one, type) for one in claimed)
        _require(fits, f"{kind}_spaces must be a tuple of kinds of spaces; got {claimed!r}")
        if not issubclass(spaces.Text, claimed):
            given = {"observation": env.observation_space, "action": env.action_space} | {kind: spaces.Text(3)}
            try:
                trial.cls(given["observation"], given["action"])
            except InvalidInput:
                continue
            raise Fault(f"a space that is not among {kind}_spaces must be refused: call super().__init__")


def check_actions(trial: Trial) -> None:
    """Actions have the right shape and dtype and lie in their space, greedy or not, for one environment or several."""
    env = trial.env()
    agent = trial.agent(env)
    observation, memory = env.reset(), agent.initial_memory(NUM_ENVS)
    shape, dtype = (NUM_ENVS, *action_shape(env.action_space)), action_dtype(env.action_space)
    for time in range(6):
        greedy = time % 2 == 0
        action, memory = agent.act(observation, memory, env.episode_start, greedy=greedy)
        got = f"{action.dtype} {tuple(action.shape)}" if isinstance(action, Tensor) else type(action).__name__
        fits = isinstance(action, Tensor) and action.dtype == dtype and tuple(action.shape) == shape
        _require(fits, f"act must give {dtype} {shape} for {NUM_ENVS} environments; got {got}")
        _require(not action.requires_grad, "act must not keep a graph: decorate it with torch.no_grad()")
        for row in action:
            inside = env.action_space.contains(row.numpy()[()])
            _require(inside, f"an action must lie in {env.action_space}; got {row.tolist()}")
        observation = env.step(action).observation
    _require(isinstance(memory, tuple), f"act must give a tuple of tensors as memory; got {type(memory).__name__}")


def check_seeds(trial: Trial) -> None:
    """Two agents of one seed act alike, whatever else draws random numbers."""
    played = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        np.random.seed(noise)  # noqa: NPY002  what somebody's code may draw from
        env = trial.env()
        agent = trial.agent(env)
        observation, memory = env.reset(), agent.initial_memory(NUM_ENVS)
        for _ in range(8):
            action, memory = agent.act(observation, memory, env.episode_start)
            observation = env.step(action).observation
            played.append(action)
    same = all(torch.equal(one, other) for one, other in zip(played[:8], played[8:], strict=True))
    _require(same, "two agents of one seed must act alike: draw from self.randomness, not from torch or NumPy")


def check_learning(trial: Trial) -> str | None:
    """`learn` yields one report of finite floats an iteration and counts its steps."""
    env = trial.env()
    agent = trial.agent(env)
    reports = list(islice(agent.learn(env, STEPS), REPORTS))
    if not reports:
        return "it does not learn"
    for report in reports:
        sound = isinstance(report, dict) and all(isinstance(one, int | float) for one in report.values())
        _require(sound, f"learn must yield dicts of floats by name; got {report!r:.100}")
        wrong = [name for name, value in report.items() if not math.isfinite(value)]
        _require(not wrong, f"a report must hold finite numbers, and leave out what is none; got {wrong}")
        _require("steps" in report, f"a report must hold 'steps', the steps taken so far; got {sorted(report)}")
    counts = [0, *(int(report["steps"]) for report in reports)]
    _require(counts == sorted(set(counts)), f"'steps' must grow from report to report; got {counts[1:]}")
    _require(agent.steps == counts[-1], f"self.steps must be the steps reported; got {agent.steps} and {counts[-1]}")
    return None


def check_resume(trial: Trial) -> str | None:
    """What was saved and goes on in a new process equals what was not stopped, bit for bit."""
    whole_env = trial.env()
    whole = trial.agent(whole_env)
    reports = list(islice(whole.learn(whole_env, STEPS), 2 * REPORTS))
    env = trial.env()
    agent = trial.agent(env)
    before = list(islice(agent.learn(env, STEPS), REPORTS))
    if not env.started:
        env.reset()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.pt"
        agent.save(path, environment=env.state_dict())
        content = read_checkpoint(path)
        again_env = trial.env()
        again = trial.agent(again_env, seed=99)
        again.restore(content, path)
    again_env.load_state_dict(content["extra"]["environment"])
    wrong = differences(agent.state_dict(), again.state_dict())
    _require(not wrong, f"state_dict and load_state_dict must keep all that decides what comes next; lost: {wrong[:3]}")
    after = list(islice(again.learn(again_env, STEPS), REPORTS))
    told = "a resumed run must equal the run that was not stopped, bit for bit"
    _require(before + after == reports, f"{told}; its reports differ: state_dict lacks something")
    wrong = differences(whole.state_dict(), again.state_dict())
    _require(not wrong, f"{told}; other at the end: {wrong[:3]}")
    return None if reports else "it does not learn; what it saves comes back"


def check_evaluation(trial: Trial) -> None:
    """Evaluation gives the same each time and leaves the agent as it was."""
    env = trial.env()
    agent = trial.agent(env)
    list(islice(agent.learn(env, STEPS), 1))
    kept = copy.deepcopy(agent.state_dict())
    first, second = (evaluate(agent, trial.env(), 8, seed=7) for _ in range(2))
    _require(torch.equal(first.returns, second.returns), "evaluation of one seed must give the same returns each time")
    agent.attach(env)
    wrong = differences(kept, agent.state_dict())
    _require(not wrong, f"evaluation must leave the agent as it was; changed: {wrong[:3]}")


CHECKS: dict[str, Callable[[Trial], str | None]] = {
    "docstring": check_docstring,
    "configuration": check_configuration,
    "spaces": check_spaces,
    "actions": check_actions,
    "seeds": check_seeds,
    "learning": check_learning,
    "resume": check_resume,
    "evaluation": check_evaluation,
}
