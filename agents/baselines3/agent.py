"""Stable-Baselines3's algorithms (Raffin et al., 2021) as agents, with this suite's encoders and checkpoints."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from ...envs.adapters.sb3 import SB3VecEnv
from ...envs.core.actions import action_dtype
from ...envs.core.observations import batched_observation
from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..core.agent import Memory, Report
from ..core.randomness import UPDATE
from ..learning.learner import Learner
from .config import config_of
from .model import learned_state, load_learned_state, load_replay_state, make_model, replay_state
from .randomness import ForeignRandomness

LOSSES = {"policy_gradient_loss": "policy_loss", "actor_loss": "policy_loss", "critic_loss": "value_loss"}
REPORT_STEPS = 1000  # environment steps between two reports of an algorithm that learns from replay


class Recorder:
    """A batch of environments that keeps what its steps gave until it is read.

    Args:
        env: the environments.
    """

    def __init__(self, env: BatchedEnvironment) -> None:
        self.env = env
        self._steps: list[TimeStep] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def step(self, action: NDArray[Any]) -> TimeStep:
        """One step of every environment, for actions (B, ...) as an algorithm gives them.

        Rounding may put them just outside a Box, and MultiBinary ones come as floats.
        """
        space = self.env.action_space
        own = np.clip(action, space.low, space.high) if isinstance(space, spaces.Box) else action.astype(space.dtype)
        step = self.env.step(own)
        self._steps.append(replace(step, observation={}, final_observation={}))  # only what the statistics need
        return step

    def read(self) -> TimeStep:
        """The steps since the last call without their observations, each part (T, B)."""
        whole: TimeStep = tree_map(lambda *parts: torch.stack(parts), *self._steps)
        self._steps = []
        return whole


class SB3Agent(Learner):
    """An algorithm of Stable-Baselines3.

    Its settings have the library's names, and its defaults but for those that count steps of a single environment: with
    64 environments, PPO's rollouts are as long in all, and DQN updates as often, as the library has it with one.

    With ``greedy=False`` it samples from its policy; DQN, TD3 and DDPG have none to sample from, and explore only while
    they learn.

    Attributes:
        algorithm: the class of Stable-Baselines3.
    """

    algorithm: ClassVar[type[BaseAlgorithm]]
    on_device: ClassVar[bool] = False
    for_learning = ("replay",)

    def build(self) -> None:
        """The algorithm, for one environment until it learns in more."""
        torch_seed, numpy_seed, action_seed = self.randomness.integers(UPDATE, 1, 3, 2**31)[0].tolist()
        self.foreign = ForeignRandomness(torch_seed, numpy_seed, self.device)
        self._actions = copy.deepcopy(self.action_space)  # whose own generator draws the warm-up's actions
        self._actions.seed(action_seed)
        self.model = self._make(1)

    @contextmanager
    def apart(self, seed: int | None = None) -> Iterator[None]:
        """Within, the algorithm's random choices are made apart; see `Agent.apart`."""
        own = self.foreign.state_dict()
        if seed is not None:
            self.foreign.seed(seed % 2**64, seed % 2**32)
        try:
            yield
        finally:
            self.foreign.load_state_dict(own)

    def _make(self, num_envs: int) -> Any:
        return make_model(
            self.algorithm,
            self.observation_space,
            self._actions,
            self.config,
            num_envs=num_envs,
            device=self.device,
        )

    @torch.no_grad()
    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Actions (B, ...) from the policy; see `Agent.act`."""
        policy, space = self.model.policy, self.action_space
        policy.set_training_mode(False)
        with self.foreign.in_place():
            action = policy._predict(observation, deterministic=greedy)
        action = action.reshape(-1, *(space.shape or ())).to(action_dtype(space))
        if isinstance(space, spaces.Box):
            low, high = (torch.as_tensor(bound, device=self.device) for bound in (space.low, space.high))
            if policy.squash_output:
                action = low + 0.5 * (action + 1) * (high - low)
            action = action.clamp(low, high)
        return action, memory

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all.

        Yields a report after every rollout, or every thousand steps of an algorithm that learns from replay; its losses
        are those of the last update. It goes on in the environments as they stand; those that were never reset are.
        With another number of environments than before, replay starts empty.
        """
        self.enter(env, steps)
        assert self.statistics is not None
        if self.model.n_envs != env.num_envs:
            self._remake(env.num_envs, learned_state(self.model))
        model, recorder = self.model, Recorder(env)
        vec_env: Any = SB3VecEnv(recorder)  # type: ignore[arg-type]
        start = env.episode_start.cpu().numpy()
        model.env, model._last_obs, model._last_episode_starts = vec_env, batched_observation(env.observation), start
        self._interrupt_replay(start)
        _, callback = model._setup_learn(steps - self.steps, reset_num_timesteps=False)
        advance = self._advance_on_policy if isinstance(model, OnPolicyAlgorithm) else self._advance_off_policy
        while self.steps < steps:
            with self.foreign.in_place():
                advance(callback, steps)
            self.steps = model.num_timesteps
            yield self.report(self.statistics.gather(recorder.read(), {})) | self._read_losses()

    def _advance_on_policy(self, callback: Any, end: int) -> None:
        """One rollout and its update."""
        model = self.model
        model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=model.n_steps)
        model._update_current_progress_remaining(model.num_timesteps, end)
        model.train()

    def _advance_off_policy(self, callback: Any, end: int) -> None:
        """Steps and updates up to the next report."""
        model = self.model
        pause = min(end, (model.num_timesteps // REPORT_STEPS + 1) * REPORT_STEPS)
        while model.num_timesteps < pause:
            rollout = model.collect_rollouts(
                model.env,
                train_freq=model.train_freq,
                action_noise=model.action_noise,
                callback=callback,
                learning_starts=model.learning_starts,
                replay_buffer=model.replay_buffer,
            )
            updates = model.gradient_steps if model.gradient_steps >= 0 else rollout.episode_timesteps
            if model.num_timesteps > model.learning_starts and updates:
                model.train(batch_size=model.batch_size, gradient_steps=updates)

    def _read_losses(self) -> Report:
        """What the last update recorded, under the names of the other agents."""
        values: dict[str, Any] = self.model.logger.name_to_value
        named = ((key.rpartition("/")[2], float(value)) for key, value in values.items() if math.isfinite(value))
        told = {LOSSES.get(name, name): value for name, value in named}
        values.clear()
        told.pop("n_updates", None)
        if "entropy_loss" in told:
            told["entropy"] = -told.pop("entropy_loss")
        if "loss" in told and "value_loss" not in told:  # the only one of deep Q-learning
            told["value_loss"] = told.pop("loss")
        return told

    def _interrupt_replay(self, start: NDArray[np.bool_]) -> None:
        """Cuts replayed episodes (B,) that do not go on: somebody has reset those environments."""
        replay = getattr(self.model, "replay_buffer", None)
        if replay is not None and replay.size():
            last = replay.pos - 1
            replay.timeouts[last] = np.maximum(replay.timeouts[last], start & (replay.dones[last] == 0))

    def _remake(self, num_envs: int, learned: dict[str, Any]) -> None:
        """The algorithm for B environments, with an empty replay, that has learned that."""
        with torch.random.fork_rng(devices=[]):
            self.model = self._make(num_envs)
        load_learned_state(self.model, learned)

    def state_dict(self) -> dict[str, Any]:
        """What it has learned, its replay and its generators beside the base's state."""
        replay = getattr(self.model, "replay_buffer", None)
        return super().state_dict() | {
            "num_envs": self.model.n_envs,
            "learned": learned_state(self.model),
            "replay": None if replay is None else replay_state(replay),
            "foreign": self.foreign.state_dict(),
            "actions": self._actions.np_random.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self._remake(state["num_envs"], state["learned"])
        if state.get("replay") is not None:
            load_replay_state(self.model.replay_buffer, state["replay"])
        self.foreign.load_state_dict(state["foreign"])
        self._actions.np_random.bit_generator.state = state["actions"]


class SB3A2C(SB3Agent):
    """Advantage actor-critic (Mnih et al., 2016) of Stable-Baselines3."""

    name = "sb3:A2C"
    algorithm, Config = A2C, config_of(A2C)


class SB3DDPG(SB3Agent):
    """Deep deterministic policy gradient (Lillicrap et al., 2016) of Stable-Baselines3."""

    name = "sb3:DDPG"
    algorithm, Config = DDPG, config_of(DDPG, action_noise=0.1)
    action_spaces: ClassVar = (spaces.Box,)


class SB3DQN(SB3Agent):
    """Deep Q-learning (Mnih et al., 2015) of Stable-Baselines3."""

    name = "sb3:DQN"
    algorithm, Config = DQN, config_of(DQN, train_freq=1, gradient_steps=16)
    action_spaces: ClassVar = (spaces.Discrete,)


class SB3PPO(SB3Agent):
    """Proximal policy optimisation (Schulman et al., 2017) of Stable-Baselines3."""

    name = "sb3:PPO"
    algorithm, Config = PPO, config_of(PPO, n_steps=32)


class SB3SAC(SB3Agent):
    """Soft actor-critic (Haarnoja et al., 2018) of Stable-Baselines3."""

    name = "sb3:SAC"
    algorithm, Config = SAC, config_of(SAC)
    action_spaces: ClassVar = (spaces.Box,)


class SB3TD3(SB3Agent):
    """Twin delayed DDPG (Fujimoto et al., 2018) of Stable-Baselines3."""

    name = "sb3:TD3"
    algorithm, Config = TD3, config_of(TD3, action_noise=0.1)
    action_spaces: ClassVar = (spaces.Box,)
