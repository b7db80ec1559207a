"""How `train_speed.py` lets this suite's agents and other libraries learn: on one clock, scored in one way."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.agents.core.agent import Agent, Memory
from palaestra.agents.core.evaluation import evaluate
from palaestra.envs.adapters.bridge import GymnasiumBridge
from palaestra.envs.core.task import Observation
from palaestra.envs.core.tree import tree_map

SCORING_SEED = 2**41  # of the episodes that are scored; no run trains on them


@dataclass(frozen=True)
class Goal:
    """What a race is run for.

    Attributes:
        task: the environment's id.
        target: the mean return of greedy episodes to reach.
        num_envs: environments that are scored at once.
        episodes: scored each time.
    """

    task: str
    target: float
    num_envs: int
    episodes: int


@dataclass(frozen=True)
class Result:
    """What a run gave: steps and seconds of learning until the target, None if it was not reached, and in all."""

    steps: int
    seconds: float
    target_steps: int | None
    target_seconds: float | None


def batch(task: str, num_envs: int, seed: int = 0) -> Any:
    """This suite's batch of a task, or of a Gymnasium id."""
    if task.startswith("palaestra/"):
        return envs.make_batched(task, num_envs, seed=seed)
    return GymnasiumBridge(task, num_envs, seed=seed)


class Stopwatch:
    """Processor time of a run, standing still while the policy is scored; a score after every seventh more of it.

    Args:
        goal: when the run has reached what it is for.
        policy: who is scored.
        least: seconds that every run learns for, so that its rate is known.
        most: seconds after which a run is given up.
        compiling: steps within which what is compiled is: their seconds count on the way to the return, but not in the
            rate, and `least` and `most` begin after them.
    """

    def __init__(self, goal: Goal, policy: Agent, least: float, most: float, compiling: int = 0) -> None:
        self.goal, self.policy, self.least, self.most = goal, policy, least, most
        self.compiling, self.before = compiling, (0, 0.0)
        self.env = batch(goal.task, goal.num_envs)
        self.seconds, self.pause = 0.0, 0.1
        self.reached: tuple[int, float] | None = None
        self.started = time.process_time()

    def __call__(self, steps: int) -> bool:
        """Whether a run that has taken so many steps goes on."""
        seconds = self.seconds + time.process_time() - self.started
        if steps <= self.compiling:
            self.before = steps, seconds
        if seconds < self.pause:
            return True
        self.steps, self.seconds = steps, seconds
        self.pause = seconds + (seconds - self.before[1]) / 7
        if self.reached is None:
            found = evaluate(self.policy, self.env, self.goal.episodes, seed=SCORING_SEED).returns.mean()
            if float(found) >= self.goal.target:
                self.reached = steps, seconds
        self.started = time.process_time()
        return self.seconds - self.before[1] < (self.most if self.reached is None else self.least)

    @property
    def result(self) -> Result:
        """What the run gave up to the last score."""
        return Result(self.steps - self.before[0], self.seconds - self.before[1], *(self.reached or (None, None)))


class PeerPolicy(Agent):
    """Another library's policy as an agent, to be scored as this suite's are: `predict` is Stable-Baselines3's."""

    name = "peer"
    predict: Callable[..., Any]

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...); see `Agent.act`."""
        seen, state = tree_map(Tensor.numpy, observation), tuple(part.numpy() for part in memory) or None
        start = torch.zeros(0, dtype=torch.bool) if start is None else start
        action, state = self.predict(seen, state=state, episode_start=start.numpy(), deterministic=greedy)
        return torch.as_tensor(action), tuple(torch.as_tensor(part) for part in state or ())


def palaestra(
    goal: Goal,
    name: str,
    num_envs: int,
    steps: int,
    clock: dict[str, float],
    *,
    expert: Any = None,
    compiling: int = 0,
    **config: Any,
) -> Result:
    """A run of this suite's agent of that name; an expert labels for DAgger in place of the task's own."""
    env = batch(goal.task, num_envs)
    agent: Any = agents.make(name, env, **config)
    if expert is not None:
        agent.expert = lambda env: expert(env.observation)
    watch = Stopwatch(goal, agent, clock["least"], clock["most"], compiling)
    for _ in agent.learn(env, steps):
        if not watch(agent.steps):
            break
    return watch.result


def vectorised(task: str, num_envs: int, adapter: bool) -> Any:
    """What Stable-Baselines3's users make of a task, or this suite's adapter to the same."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    if adapter:
        return envs.make_sb3(task, num_envs)
    return DummyVecEnv([lambda: gymnasium.make(task)] * num_envs)


def stable_baselines3(
    goal: Goal,
    algorithm: str,
    num_envs: int,
    steps: int,
    clock: dict[str, float],
    *,
    policy: str = "MlpPolicy",
    adapter: bool = False,
    **config: Any,
) -> Result:
    """A run of an algorithm ("module:Class") of Stable-Baselines3 or of its contributed ones."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            return watch(self.num_timesteps)

    module, cls = algorithm.split(":")
    env = vectorised(goal.task, num_envs, adapter)
    model = getattr(import_module(module), cls)(policy, env, seed=0, device="cpu", **config)
    scored = PeerPolicy(env.observation_space, env.action_space)
    scored.predict = model.predict
    watch = Stopwatch(goal, scored, clock["least"], clock["most"])
    model.learn(steps, callback=Watch())
    return watch.result


def imitation(
    goal: Goal, num_envs: int, steps: int, clock: dict[str, float], *, expert: Any, learning_rate: float
) -> Result:
    """A run of imitation's DAgger (Gleave et al., 2022), with the network that this suite's has."""
    import datasets  # type: ignore[import-not-found]
    from imitation.algorithms import bc, dagger  # type: ignore[import-not-found]
    from imitation.util.logger import configure  # type: ignore[import-not-found]
    from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

    class Labels(BasePolicy):
        def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
            return expert(observation)

    datasets.disable_progress_bars()
    torch.manual_seed(0)
    env, rng = vectorised(goal.task, num_envs, adapter=False), np.random.default_rng(0)
    space = {"observation_space": env.observation_space, "action_space": env.action_space}
    network = ActorCriticPolicy(**space, lr_schedule=lambda _: 0.0, net_arch=[64, 64], activation_fn=torch.nn.ReLU)
    scored = PeerPolicy(**space)
    scored.predict = network.predict
    with tempfile.TemporaryDirectory() as folder:
        logger = configure(folder, [])
        learner = bc.BC(
            **space, rng=rng, policy=network, batch_size=64, optimizer_kwargs={"lr": learning_rate}, device="cpu",
            custom_logger=logger,
        )  # fmt: skip
        trainer = dagger.SimpleDAggerTrainer(
            venv=env, scratch_dir=folder, expert_policy=Labels(**space), rng=rng, bc_trainer=learner,
            beta_schedule=dagger.ExponentialBetaSchedule(1e-9), custom_logger=logger,
        )  # fmt: skip
        watch, taken = Stopwatch(goal, scored, clock["least"], clock["most"]), 0
        while taken < steps and watch(taken):
            trainer.train(
                1,
                rollout_round_min_episodes=1,
                rollout_round_min_timesteps=500,
                bc_train_kwargs={"n_epochs": 4, "progress_bar": False, "log_rollouts_venv": None},
            )
            taken = sum(len(trajectory) for trajectory in trainer._all_demos)
    return watch.result
