"""The other way round: any Gymnasium environment as a batch for this suite's agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import LARGEST_SEED, fresh_seed, integer, torch_device
from ..core.protocol import TimeStep
from ..core.task import NoExpert, Observation
from ..core.tree import put, tree_map
from ..wrappers.frames import MOST_FRAMES, Frames
from ..wrappers.goals import GoalJudge
from .foreign import Source, copies
from .foreign_spaces import Actions, reader

MOST_BRIDGED = 4096
"""Environments of a bridge, each a Python object of its own."""


class GymnasiumBridge:
    """B copies of a Gymnasium environment as a batch of torch tensors.

    Each episode is reset with a seed of its own, hashed from (seed + row, episode). So, as everywhere in this suite,
    row i plays the episodes of a single environment seeded s + i, and a saved batch continues exactly where it stood:
    the current episodes are replayed from their seeds and actions. Both need an environment whose randomness comes
    from its own ``np_random`` alone.

    Observations come as this suite has them, and `observation_space` says so: images, also stacked ones, (C, H, W); a
    Tuple as a Dict with the keys "0", "1" and so on; a Box float32, or uint8 if it is. Actions reach the environment in
    the dtype of its own space: those for a Box of whole numbers rounded, and all within its bounds.

    Args:
        env: an id such as "CartPole-v1", a specification, a function that makes an environment, or an environment,
            wrapped or not: row 0 is that very one, the others are deep copies of it.
        num_envs: B.
        device: where the tensors live.
        seed: of environment 0; None for a fresh one, which the attribute `seed` tells.
        frame_stack: n, the last n observations are seen at once, see `Frames`.
        options: keyword arguments of ``gymnasium.make``, or of the function.

    Raises:
        InvalidInput: an id that Gymnasium does not know, an environment that cannot be made or copied, a space that no
            agent can see or act in, an action outside the action space; whatever the environment itself raises, and
            what it returns that is not finite or of another shape, with its row, episode and step.

    Attributes:
        seed: of environment 0.
        metadata: the environment's own, such as ``render_fps``.
    """

    def __init__(
        self,
        env: Source,
        /,
        num_envs: int = 1,
        *,
        device: torch.device | str = "cpu",
        seed: int | None = None,
        frame_stack: int = 1,
        **options: Any,
    ) -> None:
        what = env if isinstance(env, str) else "environment"
        integer(f"{what}: num_envs", num_envs, 1, MOST_BRIDGED)
        self.device = torch_device(f"{what}: device", device)
        self._copies = copies(env, num_envs, options)
        self.envs = [one.env for one in self._copies]
        self.name, self.num_envs = self._copies[0].name, num_envs
        self.metadata = dict(self.envs[0].metadata)
        try:
            self._reader = reader(self.envs[0].observation_space)
        except InvalidInput as error:
            raise InvalidInput(f"{self.name}: {error}") from None
        count = integer(f"{self.name}: frame_stack", frame_stack, 1, MOST_FRAMES)
        self._frames = Frames(self._reader.space, count, self.name) if count > 1 else None
        self.observation_space = self._reader.space if self._frames is None else self._frames.space
        self.action_space = self.envs[0].action_space
        self._actions = Actions(self.action_space, num_envs, self.name)
        self._observation: Observation | None = None
        self._start_from(fresh_seed() if seed is None else seed)

    def _start_from(self, seed: int) -> None:
        self.seed = integer(f"{self.name}: seed", seed, -LARGEST_SEED, LARGEST_SEED)
        self._seeds = [self.seed + row for row in range(self.num_envs)]

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
        return torch.tensor([not one.actions for one in self._copies], device=self.device)

    def _begin(self, row: int) -> Any:
        one = self._copies[row]
        entropy = [self._seeds[row] % 2**64, one.episode]
        return one.reset(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def _tensors(self, observations: list[Any], rows: list[int] | None = None) -> Observation:
        """What the environments of those rows, or all, show: (B', ...)."""
        place = lambda index: self._copies[index if rows is None else rows[index]].place  # noqa: E731
        try:
            seen = self._reader(observations, place)
        except InvalidInput as error:
            raise InvalidInput(f"{self.name}: {error}") from error.__cause__
        return tree_map(lambda part: part.to(self.device), seen)

    def reset(self, seed: int | None = None) -> Observation:
        """Starts the next episode everywhere; with a seed, the first episode of seed + i in row i."""
        if seed is not None:
            self._start_from(seed)
        for one in self._copies:
            one.episode = 0 if seed is not None or not self.started else one.episode + 1
        self._observation = self._first([self._begin(row) for row in range(self.num_envs)])
        return self._observation

    def _first(self, observations: list[Any], rows: list[int] | None = None) -> Observation:
        """What the environments of those rows, or all, show where an episode begins."""
        seen = self._tensors(observations, rows)
        return seen if self._frames is None else self._frames.begun(seen)

    def _next(self, before: Observation, observations: list[Any]) -> Observation:
        """What all environments show after a step."""
        seen = self._tensors(observations)
        return seen if self._frames is None else self._frames.followed(before, seen)

    def step(self, action: Any) -> TimeStep:
        """One step of every environment, one after the other; those that end restart in the same step."""
        if not self.started:
            raise InvalidInput(f"{self.name}: reset() must be called before anything else")
        actions = self._actions(action)
        seen, rewards = [], np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros(self.num_envs, np.bool_), np.zeros(self.num_envs, np.bool_)
        for row, one in enumerate(self._copies):
            own = actions[row]
            observation, rewards[row], terminated[row], truncated[row] = one.step(own, self._actions.one(own))
            seen.append(observation)
        final = self._next(self.observation, seen)
        self._observation = self._restarted(final, (terminated | truncated).nonzero()[0].tolist())
        to_device = lambda array: torch.from_numpy(array).to(self.device)  # noqa: E731
        return TimeStep(
            self._observation,
            to_device(rewards),
            to_device(terminated),
            to_device(truncated & ~terminated),
            final,
        )

    def _restarted(self, final: Observation, rows: list[int]) -> Observation:
        if not rows:
            return final
        for row in rows:
            self._copies[row].episode += 1
        first = self._first([self._begin(row) for row in rows], rows)
        return put(final, torch.tensor(rows, device=self.device), first)

    def expert_action(self) -> Tensor:
        """No foreign environment tells its best action."""
        raise NoExpert(f"{self.name} has no expert")

    @property
    def goal_outcome(self) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]] | None:
        """How the environment judges goals (N, ...) achieved and desired, by its `compute_reward`; None without one.

        It gives rewards (N,) and, by its `compute_terminated`, where an episode terminates (N,); None without that.
        """
        one: Any = self.envs[0].unwrapped
        return GoalJudge(one, self.name) if hasattr(one, "compute_reward") else None

    def state_dict(self) -> dict[str, Any]:
        """Seeds, episode numbers and the current episodes' actions."""
        return {
            "seeds": torch.tensor(self._seeds),
            "episode": torch.tensor([one.episode for one in self._copies]),
            "history": [self._actions.stored(one.actions) for one in self._copies],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replays the saved episodes up to where they stood."""
        if len(state["seeds"]) != self.num_envs:
            raise InvalidInput(
                f"{self.name}: saved batch must have {self.num_envs} environments; got {len(state['seeds'])}"
            )
        self._seeds = state["seeds"].tolist()
        self.seed = self._seeds[0]
        count = 1 if self._frames is None else self._frames.count
        seen: list[list[Any]] = []  # of each row, the last observations that are seen at once
        for row, one in enumerate(self._copies):
            one.episode = int(state["episode"][row])
            shown = [self._begin(row)] * count
            for own in state["history"][row].numpy():
                shown = [*shown[1:], one.step(own, self._actions.one(own))[0]]
            seen.append(shown)
        first, *later = ([shown[time] for shown in seen] for time in range(count))
        self._observation = self._first(first)
        for observations in later:
            self._observation = self._next(self._observation, observations)

    def frames(self) -> list[Any]:
        """One picture of each environment, (H, W, 3) uint8; they must be made with ``render_mode="rgb_array"``."""
        return [one.frame() for one in self._copies]

    def close(self) -> None:
        """Closes every environment."""
        for one in self._copies:
            one.close()
