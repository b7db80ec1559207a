"""The other way round: any Gymnasium environment as a batch for this suite's agents."""

from __future__ import annotations

from typing import Any

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown
from ..core.actions import ActionCheck, action_dtype
from ..core.options import LARGEST_SEED, integer, torch_device
from ..core.protocol import TimeStep
from ..core.task import NoExpert, Observation

MOST_BRIDGED = 4096
"""Environments of a bridge, each a Python object of its own."""


class GymnasiumBridge:
    """B copies of a Gymnasium environment as a batch of torch tensors.

    Each episode is reset with a seed of its own, hashed from (seed + row, episode). So, as everywhere in this suite,
    row i plays the episodes of a single environment seeded s + i, and a saved batch continues exactly where it stood:
    the current episodes are replayed from their seeds and actions. Both need an environment whose randomness comes
    from its own ``np_random`` alone.

    Args:
        id: any registered Gymnasium id, such as "CartPole-v1".
        num_envs: B.
        device: where the tensors live.
        seed: of environment 0.
        options: keyword arguments of ``gymnasium.make``.

    Raises:
        InvalidInput: an id that Gymnasium does not know, an observation space that is neither Box, Discrete nor a Dict
            of these, or an action outside the action space.
    """

    def __init__(
        self, id: str, num_envs: int, *, device: torch.device | str = "cpu", seed: int = 0, **options: Any
    ) -> None:
        integer(f"{id}: num_envs", num_envs, 1, MOST_BRIDGED)
        device = torch_device(f"{id}: device", device)
        try:
            self.envs = [gymnasium.make(id, **options) for _ in range(num_envs)]
        except Exception as error:  # a stranger's code raises what it likes
            told = str(error).splitlines()[0] if str(error) else ""
            kind = "" if isinstance(error, gymnasium.error.Error) else f"{type(error).__name__}: "
            given = f" with options {shown(options)}" if options else ""
            raise InvalidInput(f"environment id {id!r}{given}: {kind}{told}") from error
        self.name, self.num_envs, self.device = id, num_envs, device
        self.observation_space = self._space(self.envs[0].observation_space)
        self.action_space = self.envs[0].action_space
        self._check = ActionCheck(self.action_space, num_envs, torch.device("cpu"), id)
        self._observation: Observation | None = None
        self._seeds = self._from(seed)
        self._episode = [0] * num_envs
        self._history: list[list[Any]] = [[] for _ in range(num_envs)]  # actions of the current episodes

    def _from(self, seed: int) -> list[int]:
        first = integer(f"{self.name}: seed", seed, -LARGEST_SEED, LARGEST_SEED)
        return [first + row for row in range(self.num_envs)]

    def _space(self, space: spaces.Space[Any]) -> spaces.Space[Any]:
        """What observations are in once they are tensors: a Box is float32 or uint8."""
        if isinstance(space, spaces.Dict):
            return spaces.Dict({name: self._space(part) for name, part in space.items()})
        if isinstance(space, spaces.Discrete):
            return space
        if not isinstance(space, spaces.Box):
            raise InvalidInput(f"{self.name}: observation space must be Box, Discrete or a Dict of these; got {space}")
        dtype: Any = np.uint8 if space.dtype == np.uint8 else np.float32
        return spaces.Box(space.low.astype(dtype), space.high.astype(dtype), dtype=dtype)

    @property
    def started(self) -> bool:
        """Whether `reset` was ever called."""
        return self._observation is not None

    @property
    def observation(self) -> Observation:
        """(B, ...) the current observation."""
        if self._observation is None:
            raise InvalidInput(f"{self.name}: reset() must be called before anything else")
        return self._observation

    @property
    def episode_start(self) -> Tensor:
        """(B,) bool: the current observation is the first of its episode."""
        return torch.tensor([not actions for actions in self._history], device=self.device)

    def _begin(self, row: int) -> Any:
        entropy = [self._seeds[row] % 2**64, self._episode[row]]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        self._history[row] = []
        return self.envs[row].reset(seed=seed)[0]

    def _stack(self, observations: list[Any], space: spaces.Space[Any] | None = None) -> Any:
        space = self.observation_space if space is None else space
        if isinstance(space, spaces.Dict):
            return {name: self._stack([seen[name] for seen in observations], part) for name, part in space.items()}
        stacked = np.stack(observations)
        if isinstance(space, spaces.Discrete):
            return torch.as_tensor(stacked, dtype=torch.int64, device=self.device)
        dtype = torch.uint8 if stacked.dtype == np.uint8 else torch.float32
        return torch.as_tensor(stacked, dtype=dtype, device=self.device)

    def reset(self, seed: int | None = None) -> Observation:
        """Starts the next episode everywhere; with a seed, the first episode of seed + i in row i."""
        if seed is not None:
            self._seeds = self._from(seed)
        for row in range(self.num_envs):
            self._episode[row] = 0 if seed is not None or self._observation is None else self._episode[row] + 1
        self._observation = self._stack([self._begin(row) for row in range(self.num_envs)])
        return self._observation

    def step(self, action: Any) -> TimeStep:
        """One step of every environment, one after the other; those that end restart in the same step."""
        if not self.started:
            raise InvalidInput(f"{self.name}: reset() must be called before anything else")
        actions = self._actions(self._check(action.cpu() if isinstance(action, Tensor) else action))
        seen, final, rewards = [], [], np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        for row, env in enumerate(self.envs):
            observation, reward, terminated[row], truncated[row], _ = env.step(actions[row])
            rewards[row] = float(reward)
            self._history[row].append(actions[row])
            final.append(observation)
            if terminated[row] or truncated[row]:
                self._episode[row] += 1
                observation = self._begin(row)
            seen.append(observation)
        self._observation = self._stack(seen)
        ended = bool((terminated | truncated).any())
        to_device = lambda array: torch.from_numpy(array).to(self.device)  # noqa: E731
        return TimeStep(
            self._observation,
            to_device(rewards),
            to_device(terminated),
            to_device(truncated & ~terminated),
            self._stack(final) if ended else self._observation,
        )

    def _actions(self, action: Tensor) -> Any:
        return action.tolist() if isinstance(self.action_space, spaces.Discrete) else action.numpy().copy()

    def expert_action(self) -> Tensor:
        """No foreign environment tells its best action."""
        raise NoExpert(f"{self.name} has no expert")

    def state_dict(self) -> dict[str, Any]:
        """Seeds, episode numbers and the current episodes' actions."""
        dtype = action_dtype(self.action_space)
        return {
            "seeds": torch.tensor(self._seeds),
            "episode": torch.tensor(self._episode),
            "history": [torch.as_tensor(np.asarray(actions), dtype=dtype) for actions in self._history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replays the saved episodes up to where they stood."""
        if len(state["seeds"]) != self.num_envs:
            raise InvalidInput(
                f"{self.name}: saved batch must have {self.num_envs} environments; got {len(state['seeds'])}"
            )
        self._seeds, self._episode = state["seeds"].tolist(), state["episode"].tolist()
        seen = []
        for row, env in enumerate(self.envs):
            observation = self._begin(row)
            for action in self._actions(state["history"][row]):
                observation = env.step(action)[0]
                self._history[row].append(action)
            seen.append(observation)
        self._observation = self._stack(seen)

    def frames(self) -> list[Any]:
        """One picture of each environment, (H, W, 3) uint8; they must be made with ``render_mode="rgb_array"``."""
        return [env.render() for env in self.envs]

    def close(self) -> None:
        """Closes every environment."""
        for env in self.envs:
            env.close()
