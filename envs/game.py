"""Games of several players, and a game seen by one of them as a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

import gymnasium.spaces as spaces
from torch import Tensor, nn

from ..neural_blocks.errors import InvalidInput, unknown_name
from .task import Observation, State, Step, Task

if TYPE_CHECKING:
    from .canvas import Canvas


class Game(Task[State], Generic[State]):
    """A task in which several players act at once: observations, actions and rewards are dicts by player.

    `step` takes a dict of actions and returns a `Step` whose reward is a dict; `observe` gives a dict of each
    player's observation; `expert`, where known, a dict of actions.

    Attributes:
        players: the names, in a fixed order.
        observation_space: a Dict space with one space per player.
        action_space: a Dict space with one space per player.
    """

    players: tuple[str, ...]
    observation_space: spaces.Dict
    action_space: spaces.Dict


class Versus(Task[State], Generic[State]):
    """A game played by one player against fixed opponents: a task for agents that know nothing of games.

    Args:
        game: the game.
        player: the player whose actions, observations and rewards the task has.
        opponents: for every other player, a function from its observation (B, ...) to its action (B, ...).
    """

    def __init__(self, game: Game[State], player: str, opponents: dict[str, Callable[[Observation], Tensor]]) -> None:
        super().__init__()
        if player not in game.players:
            raise unknown_name(f"{game.name}: player", player, game.players)
        for name in opponents:
            if name == player or name not in game.players:
                raise unknown_name(f"{game.name}: opponent", name, [other for other in game.players if other != player])
        missing = set(game.players) - {player} - set(opponents)
        if missing:
            names = ", ".join(map(repr, sorted(missing)))
            raise InvalidInput(f"{game.name}: opponents must name every other player; got none for {names}")
        self.game, self.player, self.opponents = game, player, opponents
        self.observation_space = game.observation_space[player]
        self.action_space = game.action_space[player]
        self.networks = nn.ModuleList(
            one for one in opponents.values() if isinstance(one, nn.Module)
        )  # moved with the task
        self.horizon = game.horizon
        self.reset_noise, self.step_noise = game.reset_noise, game.step_noise

    @property
    def name(self) -> str:
        """The game's name and the player's."""
        return f"{self.game.name} as {self.player}"

    def reset(self, noise: Tensor) -> State:
        """The game's first state."""
        return self.game.reset(noise)

    def step(self, state: State, action: Tensor, noise: Tensor) -> Step[State]:
        """The player's action beside what the opponents answer to their own observations."""
        seen: Any = self.game.observe(state)
        actions: Any = {name: opponent(seen[name]) for name, opponent in self.opponents.items()}
        step = self.game.step(state, {**actions, self.player: action}, noise)  # type: ignore[arg-type]
        return Step(step.state, step.reward[self.player], step.terminated, step.metrics)

    def observe(self, state: State) -> Observation:
        """The player's own observation."""
        seen: Any = self.game.observe(state)
        return seen[self.player]

    def expert(self, state: State) -> Tensor:
        """The player's part of the game's expert."""
        actions: Any = self.game.expert(state)
        return actions[self.player]

    def draw(self, state: State, canvas: Canvas) -> None:
        """The game's own drawing."""
        self.game.draw(state, canvas)
