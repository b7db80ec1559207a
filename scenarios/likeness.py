"""What words' vectors say of each other: the nearest words, and analogies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..agents.core.checkpoint import read_checkpoint
from ..neural_blocks.errors import InvalidInput, unknown_name
from ..neural_blocks.representation.embedding import analogy, nearest
from .catalogue import Scenario
from .environments import make_environment
from .files import strict_yaml

TABLE = "table.weight"  # of an encoder of words
COUNT = 3  # words that are told
ANALOGY = re.compile(r"(.+?):(.+?)::(.+)")


def likeness(encoder: Path, scenario: Scenario, near: Sequence[str], analogies: Sequence[str]) -> list[str]:
    """A line for each question about words.

    Args:
        encoder: the file that `pretrain` wrote, of an encoder with a vector for each word.
        scenario: that it was fitted on.
        near: words of which the nearest are asked for.
        analogies: "dog:dogs::cat", asking what is to the third as the second is to the first.

    Raises:
        InvalidInput: another encoder, an environment without words, a word that is not among them, or an analogy of
            another form.
    """
    vectors = read_checkpoint(encoder)["state"].get(TABLE)
    settings = strict_yaml.load(encoder.parent / "pretrain.yaml")["config"]
    task = getattr(make_environment(scenario, 1), "task", None)
    words = [] if task is None else task.vocabulary(settings.get("part") or _only_part(task))
    if vectors is None or not words:
        raise InvalidInput(f"{scenario.name}: near and analogy ask about words' vectors, and here are none")
    vectors = vectors[: len(words)].double()
    used = vectors.norm(dim=1) > 1e-8  # a word that was never met may have no vector
    vectors = torch.where(used[:, None], vectors, -vectors.mean(0))

    def number(word: str) -> Tensor:
        if word not in words:
            raise unknown_name("word", word, [one for one in words if one])
        return torch.tensor([words.index(word)])

    lines = []
    for word in near:
        own = number(word)
        found = nearest(vectors, vectors[own], min(COUNT, len(words) - 1), own[:, None])[0]
        lines.append(f"near {word}: {', '.join(words[k] for k in found.tolist())}")
    for asked in analogies:
        parts = ANALOGY.fullmatch(asked)
        if parts is None:
            raise InvalidInput(f"analogy must be like dog:dogs::cat; got {asked!r}")
        first, second, third = parts.groups()
        told = words[int(analogy(vectors, *(number(word) for word in parts.groups()))[0])]
        lines.append(f"{first} : {second} :: {third} : {told}")
    return lines


def _only_part(task: object) -> str | None:
    """The one part of a task's observation that is words; None for the whole or where there are several."""
    parts = getattr(task.observation_space, "spaces", None)  # type: ignore[attr-defined]
    named = [] if parts is None else [name for name in parts if task.vocabulary(name)]  # type: ignore[attr-defined]
    return named[0] if len(named) == 1 else None
