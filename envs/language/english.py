"""A small English of who does what to whom: sentences from their meaning, in either voice, a batch at a time.

A meaning is seven numbers: many (0 or 1), noun and adjective (0 for none) of who acts, the verb, and many, noun and
adjective of who is acted on. A sentence has eleven places, 0 where no word stands:

    opening, article, adjective, noun, auxiliary, "being", verb, "by", article, adjective, noun
"""

from __future__ import annotations

import torch
from torch import Tensor

PLACES, PARTS = 11, 7
NAMED, KINDS, ADJECTIVES, VERBS = 6, 2, 4, 4  # nouns of which half are beasts; ...
WORDS = ["", "a", "some", "the", "is", "are", "being", "by", "not true that", "who"]
WORDS += ["dog", "cat", "horse", "baker", "farmer", "singer", "beast", "person"]
WORDS += ["dogs", "cats", "horses", "bakers", "farmers", "singers", "beasts", "people"]
WORDS += ["small", "big", "quick", "calm"]
WORDS += ["chasing", "watching", "following", "helping", "chased", "watched", "followed", "helped"]
A, THE, IS, BEING, BY, NOT, WHO = (
    WORDS.index(word) for word in ("a", "the", "is", "being", "by", "not true that", "who")
)
NOUN, ADJECTIVE, VERB = (WORDS.index(word) for word in ("dog", "small", "chasing"))


def kind(noun: Tensor) -> Tensor:
    """The noun of what a named one is: a beast or a person."""
    return NAMED + (noun >= NAMED // 2).long()


def meanings(adjectives: bool = False) -> Tensor:
    """Every meaning of named nouns, (N, 7) int64: 14,400, or 9,216 where every noun has an adjective."""
    many, noun, verb = torch.arange(2), torch.arange(NAMED), torch.arange(VERBS)
    adjective = torch.arange(int(adjectives), ADJECTIVES + 1)
    return torch.cartesian_prod(many, noun, adjective, verb, many, noun, adjective)


def words(meaning: Tensor, passive: Tensor, opening: Tensor | None = None) -> Tensor:
    """Sentences (B, 11) int64 of meanings (B, 7), passive where (B,) bool says so, after opening words (B,), if any."""
    who, whom, verb = _phrase(meaning[:, :3]), _phrase(meaning[:, 4:]), meaning[:, 3]
    turned = passive[:, None]
    first, last = torch.where(turned, whom, who), torch.where(turned, who, whom)  # (B, 3) each
    many = torch.where(passive, meaning[:, 4], meaning[:, 0])
    opening = torch.zeros_like(verb) if opening is None else opening
    middle = torch.stack([IS + many, passive * BEING, VERB + verb + VERBS * passive, passive * BY], 1)
    return torch.cat([opening[:, None], first, middle, last], 1)


def question(sentence: Tensor) -> Tensor:
    """Sentences (B, 11) as questions for what stands first in them: "who is chasing a cat"."""
    none = torch.zeros_like(sentence[:, :1])
    return torch.cat([none + WHO, none, none, none, none + IS, sentence[:, 5:]], 1)


def spelled(sentence: list[int], between: str = " ") -> str:
    """The words of a sentence's numbers."""
    return between.join(WORDS[word] for word in sentence if word)


def _phrase(part: Tensor) -> Tensor:
    """Article, adjective and noun (B, 3) of many, noun and adjective (B, 3)."""
    many, noun, adjective = part.unbind(1)
    named = torch.where(adjective > 0, ADJECTIVE - 1 + adjective, 0)
    return torch.stack([A + many, named, NOUN + noun + (NAMED + KINDS) * many], 1)
