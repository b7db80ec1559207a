"""Data sets of Minari, written: episodes of any environment, played by its expert or by a trained agent."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import agents
from ...agents.core.agent import Agent
from ...envs.checks.options import MOST_EPISODES, integer
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput, shown
from ..catalogue import Scenario
from ..environments import make_environment
from ..runner import load_agent
from ..seeds import PLAY_SEED, PLAY_SPAN
from ..session import Chooser
from .reading import MARK, minari_library

LONGEST = 100_000  # steps of an episode without an end
OnPart = Callable[[int, int], None]


def write_dataset(
    name: str,
    scenario: Scenario,
    player: str,
    episodes: int,
    seed: int = 0,
    on_episode: OnPart = lambda *_: None,
) -> float:
    """Plays episodes and makes a data set of Minari of them, on the scenario's training options.

    Args:
        name: such as "digits/expert-v0"; Minari keeps it below `MINARI_DATASETS_PATH`, or in the home folder.
        scenario: whose environment is played.
        player: "expert", "random", or the folder of a run; or several, with commas between, who play in turn.
        episodes: how many.
        seed: of the first episode, from 0; the episodes are none of those that agents are scored with.
        on_episode: told how many are done, and of how many.

    Returns:
        The mean return.

    Raises:
        InvalidInput: Minari is missing, or has a data set of that name; an unknown player.
    """
    minari = minari_library()
    integer("episodes", episodes, 1, MOST_EPISODES)
    integer("seed", seed, 0, PLAY_SPAN - 1)
    env = make_environment(scenario, 1, watched=True, drawn=False)
    players = [_player(name, env) for name in player.split(",")]
    buffers, returns = [], []
    for number, (episode, total) in enumerate(_played(env, players, episodes, PLAY_SEED + seed), 1):
        buffers.append(minari.data_collector.EpisodeBuffer(id=number - 1, **episode))
        returns.append(total)
        on_episode(number, episodes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that publishing would want
            made = minari.create_dataset_from_buffers(
                name, buffers, observation_space=env.observation_space, action_space=env.action_space,
                algorithm_name=",".join(agent.name for agent in players),
                description=f"{scenario.title}: {player} on {scenario.environment}",
            )  # fmt: skip
    except (ValueError, ImportError) as error:
        raise InvalidInput(f"Minari data set {shown(name)}: {error}") from None
    told = {"environment": scenario.environment, "options": scenario.options, "seed": PLAY_SEED + seed}
    made.storage.update_metadata({MARK: json.dumps(told)})
    return float(np.mean(returns))


def _player(name: str, env: Any) -> Agent:
    """Who plays. Raises `InvalidInput` for one that is not known."""
    if name in ("expert", "random"):
        return agents.make(name, env)
    if (Path(name) / "run.yaml").exists():
        return load_agent(name, env)
    raise InvalidInput(f"agent must be 'expert', 'random' or the folder of a run; got {shown(name)}")


def _played(env: Any, players: list[Agent], episodes: int, seed: int) -> Iterator[tuple[dict[str, Any], float]]:
    """The episodes of a watched environment of one row, played in turn, as NumPy, and their returns."""
    chosen = [Chooser(agent, env) for agent in players]
    for number in range(episodes):
        choose = chosen[number % len(chosen)]
        env.reset(seed + number)
        seen, done = [env.observation], list[Any]()
        rewards, terminated, truncated = list[float](), list[bool](), list[bool]()
        while not rewards or not (terminated[-1] or truncated[-1]):
            action = choose(env.observation, env.episode_start)
            step = env.step(action)
            done.append(action)
            rewards.append(float(step.reward[0]))
            terminated.append(bool(step.terminated[0]))
            truncated.append(bool(step.truncated[0]) or len(rewards) >= LONGEST)
            seen.append(tree_map(torch.clone, env.observation))
        parts = [tree_map(lambda *rows: torch.cat(rows).cpu().numpy(), *some) for some in (seen, done)]
        told = {"observations": parts[0], "actions": parts[1], "rewards": rewards, "infos": {}, "seed": seed + number}
        yield told | {"terminations": terminated, "truncations": truncated}, sum(rewards)
