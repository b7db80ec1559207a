"""The PettingZoo adapter: one environment of a game, with NumPy in and out, for all players at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from ...neural_blocks.errors import InvalidInput
from ..checks.options import fresh_seed, seed_or_none
from ..core.game import Game, GameActionCheck
from ..core.observations import metric_values, single_observation
from .batched import BatchedEnv
from .screen import FRAMES_PER_SECOND, RENDER_MODES, Screen

Dicts = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]


class PalaestraParallelEnv(ParallelEnv):
    """One environment of a game as a `pettingzoo.ParallelEnv`; it plays the episodes of row 0 of a batch of that seed.

    All players act in every step and leave together when the episode ends. ``infos`` holds, for each player, the game's
    metrics of the step.

    Args:
        game: the rules.
        render_mode: None, "rgb_array" (frames of (480, 480, 3) uint8), "ansi" (lines of text) or "human" (a window).

    Raises:
        InvalidInput: an unknown render mode; from `step`, an episode that has ended, a missing player, or an action
            outside the player's action space.
    """

    def __init__(self, game: Game[Any], render_mode: str | None = None) -> None:
        self.screen, self.render_mode = Screen(game, render_mode), render_mode
        self.metadata: dict[str, Any] = {
            "name": game.name, "render_modes": list(RENDER_MODES), "render_fps": FRAMES_PER_SECOND,
            "is_parallelizable": True,
        }  # fmt: skip
        self.possible_agents, self.agents = list(game.players), list[str]()
        self.observation_spaces = dict(game.observation_space.spaces)
        self.action_spaces = dict(game.action_space.spaces)
        self.batch = BatchedEnv(game, 1, autoreset=AutoresetMode.DISABLED)
        self.batch.check_action = GameActionCheck(game.action_space, None, self.batch.device, game.name)
        self._seeded = False

    def observation_space(self, agent: str) -> Any:
        """What a player sees."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        """What a player may do."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Starts the next episode; with a seed, the first episode of that seed."""
        seed = seed_or_none(self.batch.name, seed)
        if seed is None and not self._seeded:
            seed = fresh_seed()
        self._seeded = True
        self.agents = list(self.possible_agents)
        observation = self.batch.reset(seed)
        self.screen.show(self._drawn, self.metadata["render_fps"])
        return self._each(observation), {player: {} for player in self.agents}

    def step(self, actions: dict[str, Any]) -> Dicts:
        """One step: every player's observation, reward, termination, truncation and info."""
        if not self.agents:
            raise InvalidInput(f"{self.batch.name}: the episode has ended; reset() must be called before step()")
        step = self.batch.step(actions)
        self.screen.show(self._drawn, self.metadata["render_fps"])
        players = self.agents
        if bool(step.done):
            self.agents = []
        info = {name: values[0] for name, values in metric_values(step.metrics).items()}
        return (
            self._each(step.observation),
            {player: float(step.reward[player]) for player in players},
            dict.fromkeys(players, bool(step.terminated)),
            dict.fromkeys(players, bool(step.truncated)),
            {player: dict(info) for player in players},
        )

    def _each(self, observation: Any) -> dict[str, Any]:
        spaces = self.observation_spaces
        return {player: single_observation(observation[player], spaces[player]) for player in self.possible_agents}

    def render(self) -> NDArray[np.uint8] | str | None:
        """The current state as (480, 480, 3) uint8, or in the window."""
        return self.screen.render(self._drawn)

    def _drawn(self) -> Any:
        return self.batch.row(0)

    def close(self) -> None:
        """Closes the window, if there is one."""
        self.screen.close()
