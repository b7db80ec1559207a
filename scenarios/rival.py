"""A saved run as the other side of a game: `opponent="runs/..."`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..agents.core.agent import Agent
from ..agents.games.opponents import FrozenPolicy
from ..agents.games.self_play import SelfPlay
from ..agents.policy_gradient.actor_critic import ActorCriticAgent
from ..envs.adapters.batched import BatchedEnv
from ..envs.core.game import Game, Opponent, against, faced
from ..envs.core.task import Observation
from ..envs.registry import task_class
from ..neural_blocks.errors import InvalidInput
from .runner import load_agent, read_plan


class Greedy(Opponent):
    """An agent without a memory, which always takes the action that it finds best."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def forward(self, observation: Observation, noise: Tensor) -> Tensor:
        """Actions (B, ...) of the action space."""
        return self.agent.act(observation, (), torch.ones(len(noise), dtype=torch.bool), greedy=True)[0]


def saved_opponent(game: Game[Any], player: str, folder: str | Path) -> Opponent:
    """Who plays the other side of a game against a player, as a run has learned it.

    A policy draws its actions from the game's own noise, as it did while learning, so recordings replay; an agent of
    another kind takes its best action. Of self-play either of its two sides is had.

    Args:
        game: the game.
        player: against whom.
        folder: of the run.

    Raises:
        InvalidInput: a run of another game or of the player's own side, an agent with a memory, or a damaged run.
    """
    other, _ = faced(game, player)
    plan = read_plan(folder)
    cls = task_class(plan.scenario.environment)
    if cls is not type(game):
        raise InvalidInput(f"{game.name}: opponent must be a run of the same game; {folder} is one of {cls.__name__}")
    own = plan.scenario.options.get("player", game.players[0])
    env = BatchedEnv(against(game, own), 1)
    agent = load_agent(folder, env)
    agent.attach(env)
    if isinstance(agent, SelfPlay):
        learner: Agent | None = agent.own if own == other else agent.rival
    else:
        learner = agent if own == other else None
    if learner is None:
        raise InvalidInput(f"{game.name}: opponent must play {other!r}; {folder} has learned to play {own!r}")
    if learner.initial_memory(1):
        raise InvalidInput(f"{game.name}: opponent must be without a memory; {folder} has one")
    return FrozenPolicy(learner) if isinstance(learner, ActorCriticAgent) else Greedy(learner)
