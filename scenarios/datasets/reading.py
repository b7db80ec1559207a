"""Data sets of Minari, read: episodes to imitate, whoever made them.

Source: Younis et al. (2024), "Minari: a standard format for offline reinforcement learning datasets".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...agents.core.agent import Agent
from ...agents.core.whole_file import write_whole
from ...agents.imitation.demonstrations import Demonstration
from ...envs.core.task import Observation
from ...envs.core.tree import leaves, tree_map
from ...neural_blocks.errors import InvalidInput, shown
from ..catalogue import Scenario
from ..recording import Recording, check_for_training

PREFIX = "minari:"
MARK = "palaestra"
"""The entry of a data set's metadata that says what it was made of."""


@dataclass(frozen=True)
class Dataset:
    """Episodes to imitate, all steps in a row.

    Attributes:
        name: of the data set.
        made_of: environment, options and seed, where Palaestra made it; {} else.
        spaces: of an observation and of an action, in words.
        observation: (T, 1, ...), the last one of each episode left out.
        start: (T, 1) bool, the first step of an episode.
        label: (T, 1, ...) the actions, in the action space.
        reward: (T, 1) float32 what each brought; None in a run's folder of before.
        terminated: (T, 1) bool, the task ended with it; likewise.
        following: (T, 1, ...) what each step led to; likewise.
    """

    name: str
    made_of: dict[str, Any]
    spaces: tuple[str, str]
    observation: Observation
    start: Tensor
    label: Tensor
    reward: Tensor | None = None
    terminated: Tensor | None = None
    following: Observation | None = None

    def content(self) -> list[Any]:
        """What tells it from others, as plain values."""
        told = hashlib.sha256()
        brought = [] if self.reward is None else [self.reward]
        for part in (*leaves(self.observation), self.start, *leaves(self.label), *brought):
            told.update(part.contiguous().numpy().tobytes())
        return [self.name, self.made_of, told.hexdigest()]

    def save(self, path: Path) -> None:
        """Keeps it in a run's folder, so that the run goes on without Minari."""
        told = {"name": self.name, "made_of": json.dumps(self.made_of), "spaces": self.spaces}
        names = ("observation", "start", "label", "reward", "terminated", "following")
        parts = {name: getattr(self, name) for name in names}
        write_whole(path, lambda file: torch.save(told | parts, file))

    @classmethod
    def load(cls, path: Path) -> Dataset:
        """What was saved. Raises `InvalidInput` for a damaged file."""
        try:
            values = torch.load(path, weights_only=True)
            return cls(**(values | {"made_of": json.loads(values["made_of"])}))
        except Exception as error:  # torch.load has one for everything, also for what it does not trust
            raise InvalidInput(f"{path}: not a readable data set: {error!r:.160}") from None

    def check_for_training(self, scenario: Scenario, agent: Agent) -> None:
        """Raises `InvalidInput` where its spaces are others, or it is known to be of the scenario's evaluation."""
        if self.made_of:
            told = Recording(**self.made_of, episodes=[], returns=[], purpose="training")
            check_for_training(told, scenario)
        for what, own, wanted in (
            ("observations", self.spaces[0], agent.observation_space),
            ("actions", self.spaces[1], agent.action_space),
        ):
            if own != str(wanted):
                raise InvalidInput(f"{self.name}: its {what} are {own}; {scenario.name}'s are {wanted}")

    def demonstrate(self, agent: Agent) -> Demonstration:
        """What the agent can imitate, on its device."""
        told = Demonstration(self.observation, self.start, self.label, self.reward, self.terminated, self.following)
        moved: Demonstration = tree_map(lambda part: part.to(agent.device), told)
        return moved


def load_demonstrations(source: str | Path) -> Recording | Dataset:
    """A recording's file, or "minari:ID".

    Raises:
        InvalidInput: there is none, it is damaged, or Minari is missing.
    """
    text = str(source)
    return read_dataset(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else Recording.load(source)


def read_dataset(name: str) -> Dataset:
    """A data set that Minari has on this machine; nothing is downloaded.

    Raises:
        InvalidInput: there is none of that name, it is empty, or Minari is missing.
    """
    minari = minari_library()
    try:
        found = minari.load_dataset(name)
    except Exception as error:  # each of its storages has its own
        raise InvalidInput(f"no Minari data set {shown(name)} on this machine: {error}") from None
    told = found.storage.metadata.get(MARK)
    episodes: list[tuple[Any, ...]] = []
    for episode in found.iterate_episodes():
        steps = len(episode.rewards)
        if not steps:
            continue
        brought = torch.as_tensor(np.asarray(episode.rewards, dtype=np.float32))
        terminated = torch.as_tensor(np.asarray(episode.terminations, dtype=np.bool_))
        after = _tensors(episode.observations, steps + 1, 1)
        start = torch.arange(steps) == 0
        seen, done = _tensors(episode.observations, steps), _tensors(episode.actions, steps)
        episodes.append((seen, start, done, brought, terminated, after))
    if not episodes:
        raise InvalidInput(f"Minari data set {shown(name)} is empty")
    spaces = str(found.observation_space), str(found.action_space)
    parts = tree_map(lambda *rows: torch.cat(rows).unsqueeze(1), *episodes)
    return Dataset(name, json.loads(told) if told else {}, spaces, *parts)


def _tensors(values: Any, end: int, begin: int = 0) -> Any:
    """Arrays of an episode as tensors of its steps from one to another."""
    if isinstance(values, dict):
        return {name: _tensors(part, end, begin) for name, part in values.items()}
    return torch.as_tensor(np.asarray(values)[begin:end])


def minari_library() -> Any:
    """Minari, where it is installed with what it keeps its files with. Raises `InvalidInput` where it is not."""
    try:
        import h5py  # noqa: F401 -- what Minari keeps its files with
        import minari
        import minari.data_collector
    except ImportError:
        raise InvalidInput("data sets need Minari: pip install 'palaestra[datasets]'") from None
    return minari
