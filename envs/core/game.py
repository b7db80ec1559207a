"""Games of several players, and a game seen by one of them as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput, shown, unknown_name
from ..checks.options import choice
from ..drawing.choices import Choice
from ..drawing.pictures import draw_observation
from .actions import ActionCheck
from .task import NoExpert, Observation, State, Step, Task

if TYPE_CHECKING:
    from ..drawing.canvas import Canvas


class Game(Task[State], Generic[State]):
    """A task in which several players act at once: observations, actions and rewards are dicts by player.

    `step` takes a dict of actions and returns a `Step` whose reward is a dict; `observe` gives a dict of each
    player's observation; `expert` a dict of actions for the players that have one.

    Attributes:
        players: the names, in a fixed order; an id stands for the first one's task, and the option `player` changes it.
        observation_space: a Dict space with one space per player.
        action_space: a Dict space with one space per player.
    """

    players: tuple[str, ...]
    observation_space: spaces.Dict
    action_space: spaces.Dict

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Scripted ways to play `player`, by name, the default first: each makes an `Opponent`."""
        return {}

    def made_by(self, player: str, action: Tensor) -> Tensor | None:
        """What a player has made with its action, as `Task.made` has it; None where it makes nothing."""
        return None

    def draw_player(self, player: str, observation: Any, canvas: Canvas) -> None:
        """Draws one player's observation (without the environment axis) for who plays it."""
        draw_observation(self.observation_space[player], observation, canvas)

    def entries_of(self, player: str) -> list[str]:
        """What the entries of an action of `player` are called, for people; none for their numbers."""
        return []

    def choices_of(self, player: str) -> list[Choice]:
        """What a person who plays `player` can press; none for the plain values of its action space."""
        return []


class Opponent(nn.Module):
    """A fixed way to play one player: a module from its observation (B, ...) and uniforms (B, noise) to its action.

    Attributes:
        noise: uniforms in [0, 1) that an action consumes per environment.
    """

    noise: int = 0

    def best_response(self, observation: Observation) -> Tensor | None:
        """The other player's best known action against this opponent, given that player's observation, if known."""
        return None


class Function(Opponent):
    """A plain function from an observation (B, ...) to an action (B, ...) as an opponent."""

    def __init__(self, function: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, observation: Observation, noise: Tensor) -> Tensor:
        """The function's action."""
        return self.function(observation)


class Versus(Task[State], Generic[State]):
    """A game played by one player against fixed opponents: a task for agents that know nothing of games.

    The opponents draw from the task's own noise, so a recording replays them too.

    Args:
        game: the game.
        player: the player whose actions, observations and rewards the task has.
        opponents: for every other player an `Opponent`, or a function from its observation (B, ...) to its action.

    Raises:
        InvalidInput: an unknown player, or opponents that are not those of the others.
    """

    def __init__(
        self, game: Game[State], player: str, opponents: Mapping[str, Opponent | Callable[[Any], Tensor]]
    ) -> None:
        super().__init__()
        choice(f"{game.name}: player", player, game.players)
        others = [name for name in game.players if name != player]
        for name in opponents:
            if name not in others:
                raise unknown_name(f"{game.name}: opponent", name, others)
        missing = [name for name in others if name not in opponents]
        if missing:
            names = ", ".join(map(repr, sorted(missing)))
            raise InvalidInput(f"{game.name}: opponents must name every other player; got none for {names}")
        self.game, self.player = game, player
        modules = {name: one if isinstance(one, Opponent) else Function(one) for name, one in opponents.items()}
        self.opponents = nn.ModuleDict(modules)
        self.observation_space = game.observation_space[player]
        self.action_space = game.action_space[player]
        self.horizon, self.reset_noise = game.horizon, game.reset_noise
        self.noise_sizes = [game.step_noise, *(one.noise for one in modules.values())]
        self.step_noise = sum(self.noise_sizes)

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
        own, *theirs = noise.split(self.noise_sizes, 1)
        rows = zip(self.opponents.items(), theirs, strict=True)
        actions: Any = {name: opponent(seen[name], part) for (name, opponent), part in rows}
        step = self.game.step(state, {**actions, self.player: action}, own)  # type: ignore[arg-type]
        return Step(step.state, step.reward[self.player], step.terminated, step.metrics)

    def observe(self, state: State) -> Observation:
        """The player's own observation."""
        seen: Any = self.game.observe(state)
        return seen[self.player]

    def expert(self, state: State) -> Tensor:
        """The best response to an only opponent that knows one; else the player's part of the game's expert."""
        if len(self.opponents) == 1:
            opponent: Any = next(iter(self.opponents.values()))
            best = opponent.best_response(self.observe(state))
            if best is not None:
                return best
        actions: Any = self.game.expert(state)
        if self.player not in actions:
            raise NoExpert(f"{self.name} has no expert")
        return actions[self.player]

    def made(self, action: Any, observation: Observation) -> Tensor | None:
        """What the player makes."""
        return self.game.made_by(self.player, action)

    def measured(self, made: Tensor) -> dict[str, float]:
        """What that is worth."""
        return self.game.measured(made)

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor] | None:
        """The game's."""
        return self.game.examples(split)

    def draw(self, state: State, canvas: Canvas) -> None:
        """The game's own drawing; for who plays, what the player sees of it."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        self.game.draw(state, canvas)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The player's view of the game."""
        self.game.draw_player(self.player, observation, canvas)

    def choices(self) -> list[Choice]:
        """The player's."""
        return self.game.choices_of(self.player)

    def entries(self) -> list[str]:
        """The player's."""
        return self.game.entries_of(self.player)


def faced(game: Game[Any], player: str) -> tuple[str, dict[str, Callable[[], Opponent]]]:
    """The other player of a game of two, and the scripted ones it has by name, the default first.

    Raises:
        InvalidInput: an unknown player.
    """
    choice(f"{game.name}: player", player, game.players)
    (other,) = (name for name in game.players if name != player)
    return other, game.opponents(other)


def against(
    game: Game[Any], player: str, opponent: str | Opponent | Callable[[Any], Tensor] | None = None
) -> Versus[Any]:
    """A game of two as the task of one player.

    Args:
        game: the game.
        player: whose task it is.
        opponent: the name of a scripted one, None for the default one; or an `Opponent` or a function, see `Versus`.

    Raises:
        InvalidInput: an unknown player or opponent.
    """
    other, scripted = faced(game, player)
    if callable(opponent):
        return Versus(game, player, {other: opponent})
    name = next(iter(scripted)) if opponent is None else choice(f"{game.name}: opponent", opponent, scripted)
    return Versus(game, player, {other: scripted[name]()})


class GameActionCheck:
    """Turns a dict of every player's actions into tensors, as `ActionCheck` does for one player's.

    Args:
        space: the action spaces by player.
        num_envs: B; None for the actions of one environment.
        device: where the result lives.
        name: the game's, for messages.
    """

    def __init__(self, space: spaces.Dict, num_envs: int | None, device: torch.device, name: str) -> None:
        self.name = name
        self.checks = {
            player: ActionCheck(part, num_envs, device, f"{name}: {player}") for player, part in space.items()
        }

    def __call__(self, action: Any) -> dict[str, Tensor]:
        """The actions (B, ...) by player. Raises `InvalidInput` for a missing or unknown player, or a wrong action."""
        if not isinstance(action, Mapping) or set(action) != set(self.checks):
            got = sorted(action, key=str) if isinstance(action, Mapping) else action
            players = ", ".join(map(repr, self.checks))
            raise InvalidInput(f"{self.name}: action must be a dict of {players}; got {shown(got)}")
        return {player: check(action[player]) for player, check in self.checks.items()}

    def plain(self, action: Any) -> bool:
        """Whether these are all players' actions as a task takes them, but for their values."""
        checks = self.checks
        return isinstance(action, dict) and [*action] == [*checks] and all(checks[a].plain(action[a]) for a in checks)

    def within(self, action: dict[str, Tensor]) -> dict[str, Tensor]:
        """The actions with their values brought into the spaces; NaN stays."""
        return {player: check.within(action[player]) for player, check in self.checks.items()}

    def outside(self, action: dict[str, Tensor]) -> Tensor:
        """() bool: some value of some player's lies outside the space, or is NaN."""
        return torch.stack([check.outside(action[player]) for player, check in self.checks.items()]).any()
