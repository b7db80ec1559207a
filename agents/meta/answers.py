"""The questions of a task that shows the right answer after each guess, and where its observations hold them."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput

OF_THE_TRIAL = ("previous_action", "previous_reward", "episode_start")  # what a `Trial` adds to a task's observation


class Labels:
    """Questions with N answers: ``label`` holds the last answer, one-hot (N,), all 0 where there is none to show.

    What else a task's observation holds is the question.

    Attributes:
        size: N, outputs of a network that answers: logits.
        question_space: of one question; a Dict if it has several parts.
    """

    def __init__(self, observation_space: spaces.Dict, action_space: spaces.Discrete) -> None:
        self.size, self.first = int(action_space.n), int(action_space.start)
        self.parts = [name for name in observation_space if name not in ("label", *OF_THE_TRIAL)]
        self.question_space: spaces.Space[Any] = (
            observation_space[self.parts[0]]
            if len(self.parts) == 1
            else spaces.Dict({name: observation_space[name] for name in self.parts})
        )

    def question(self, observation: Any) -> Observation:
        """(B, ...) what is asked."""
        return observation[self.parts[0]] if len(self.parts) == 1 else {name: observation[name] for name in self.parts}

    def shown(self, observation: Any) -> tuple[Tensor, Tensor]:
        """The answer to the question before, (B, N) one-hot, and whether it is shown, (B,) 0 or 1."""
        label = observation["label"]
        return label, label.sum(-1)

    def loss(self, output: Tensor, answer: Tensor) -> Tensor:
        """(...) cross-entropy of logits (..., N) with one-hot answers."""
        return -(answer * output.log_softmax(-1)).sum(-1)

    def to_env(self, output: Tensor) -> Tensor:
        """(B,) the most probable class."""
        return output.argmax(-1) + self.first


class Values:
    """Questions of D numbers with answers of A: the observation is (question, last question, its answer, known).

    The last three are 0 where there is no answer to show. A network answers in the answer's own units; the action is
    the answer as a share of its bounds.

    Attributes:
        size: A.
        question_space: Box (D,).
    """

    def __init__(self, seen: spaces.Box, action_space: spaces.Box) -> None:
        self.size = action_space.shape[0]
        self.asked = (seen.shape[0] - self.size - 1) // 2  # D
        answer = slice(2 * self.asked, -1)
        self.question_space = spaces.Box(seen.low[: self.asked], seen.high[: self.asked])
        self.low, self.high = torch.as_tensor(seen.low[answer]), torch.as_tensor(seen.high[answer])
        self.lowest, self.highest = torch.as_tensor(action_space.low), torch.as_tensor(action_space.high)

    def question(self, observation: Any) -> Tensor:
        """(B, D) what is asked."""
        return _task_part(observation)[:, : self.asked]

    def shown(self, observation: Any) -> tuple[Tensor, Tensor]:
        """The answer to the question before, (B, A), and whether it is shown, (B,) 0 or 1."""
        seen = _task_part(observation)
        return seen[:, 2 * self.asked : -1], seen[:, -1]

    def loss(self, output: Tensor, answer: Tensor) -> Tensor:
        """(...) mean squared error of predictions (..., A)."""
        return (output - answer).square().mean(-1)

    def to_env(self, output: Tensor) -> Tensor:
        """(B, A) the prediction, from the answer's bounds to the action's."""
        low, high, lowest, highest = (
            bound.to(output.device) for bound in (self.low, self.high, self.lowest, self.highest)
        )
        return torch.clamp(lowest + (highest - lowest) * (output - low) / (high - low), lowest, highest)


def answers(name: str, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> Labels | Values:
    """Where the observations of these spaces, a task's or a `Trial`'s of it, hold question and answer.

    Raises:
        InvalidInput: they hold neither the one-hot ``label`` of a Discrete action nor (question, last question, its
            answer, known) with bounds for a Box action; the message starts with `name`.
    """
    parts = {"observation": observation_space}
    if isinstance(observation_space, spaces.Dict):
        parts = dict(observation_space.items())
    if isinstance(action_space, spaces.Discrete) and "label" in parts and parts["label"].shape == (action_space.n,):
        return Labels(spaces.Dict(parts), action_space)
    seen = parts.get("observation")
    if isinstance(action_space, spaces.Box) and isinstance(seen, spaces.Box) and len(seen.shape) == 1:
        asked, odd = divmod(seen.shape[0] - action_space.shape[0] - 1, 2)
        if len(action_space.shape) == 1 and asked > 0 and not odd and seen.is_bounded():
            return Values(seen, action_space)
    raise InvalidInput(
        f"{name}: observations must show the answer to the last question: a one-hot 'label' of a Discrete action, or a "
        f"bounded Box of (question, last question, its answer, known); got {observation_space} and {action_space}"
    )


def _task_part(observation: Any) -> Tensor:
    return observation["observation"] if isinstance(observation, dict) else observation
