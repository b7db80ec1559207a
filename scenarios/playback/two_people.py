"""Two people at one keyboard: the one looks away while the other chooses, and then both choices count at once."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from ...envs.adapters.batched import BatchedEnv
from ...envs.core.actions import action_dtype
from ...envs.core.game import Opponent, Versus, against
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...envs.drawing.canvas import Canvas
from ...envs.registry import make_game
from ...neural_blocks.errors import InvalidInput
from ..catalogue import Scenario
from ..recording import as_action
from .controls import Controls, controls


class Given(Opponent):
    """An opponent whose next action is told from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.action = torch.zeros(0)

    def forward(self, observation: Observation, noise: Tensor) -> Tensor:
        """The action that was told, (1, ...)."""
        return self.action


class SecondPerson:
    """Who plays the other side of a game: what they act with, and what they see.

    Args:
        scenario: of a game of two, whose options say which side the first person plays.

    Raises:
        InvalidInput: a scenario of something else.

    Attributes:
        name: of the side.
        first: of the first person's.
        env: the game as the first person's task, of one row.
        controls: what the second person acts with.
    """

    def __init__(self, scenario: Scenario) -> None:
        options = {name: value for name, value in scenario.options.items() if name not in ("player", "opponent")}
        game = make_game(scenario.environment, **options)
        if len(game.players) != 2:
            raise InvalidInput(f"{game.name}: two people play games of two; got {len(game.players)} players")
        self.first = scenario.options.get("player", game.players[0])
        self.given = Given()
        self.env = BatchedEnv(against(game, self.first, self.given), 1, autoreset=AutoresetMode.DISABLED)
        (self.name,) = (player for player in game.players if player != self.first)
        self.task: Versus[Any] = against(game, self.name, Given())
        self.controls: Controls = controls(BatchedEnv(self.task, 1))

    def draw(self, canvas: Canvas) -> None:
        """Draws what the second person sees now."""
        canvas.clear()
        seen = tree_map(lambda part: part[0], self.task.observe(self.env.batch.state))
        self.task.draw_seen(seen, canvas)

    def choose(self, action: Any) -> None:
        """Takes the second person's action, as numbers or lists, for the step to come."""
        space = self.task.action_space
        array = as_action(action, space)
        if not space.contains(array[0].astype(space.dtype)):
            raise InvalidInput(f"{self.task.name}: action must lie in {space}; got {action}")
        self.given.action = torch.as_tensor(array).to(action_dtype(space))
