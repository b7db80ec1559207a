"""A synchronous grammar of two invented languages: every sentence of the one with its translation into the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.splits import EIGHTH, TEST_SHARE

MANY = ["pa"]
NOUNS = ["mip", "tolu", "sarn", "beko", "dul", "frin"]
ADJECTIVES = ["ash", "lem", "gorr", "ni", "pesk", "ruu"]
VERBS = ["wev", "chak", "yun", "obli", "zet", "hmo"]
ARTICLES = ["lo", "los", "ta", "tan"]  # first gender, one and many; second gender, one and many
TARGET_NOUNS = ["orru", "ketha", "imlu", "dova", "assu", "brika"]  # the first gender ends in u, the second in a
TARGET_ADJECTIVES = [stem + ending for stem in ("gri", "pul", "vel", "shan", "mor", "zil") for ending in "ua"]
TARGET_VERBS = [stem + ending for stem in ("fan", "dik", "sol", "bru", "jep", "tir") for ending in ("et", "en")]


@dataclass(frozen=True)
class Language:
    """All N sentences of both languages, row by row translations of each other; 0 is no word.

    Attributes:
        source: (N, 7) int64 words from 1 on, then zeros.
        target: (N, 8) int64 words from 1 on, then at least one zero.
        source_words: the word of each number; "" for 0.
        target_words: likewise.
    """

    source: Tensor
    target: Tensor
    source_words: list[str]
    target_words: list[str]


def all_sentences(words: int) -> Language:
    """Every sentence with the first `words` nouns, adjectives and verbs of each language.

    The rules (left the source, right the target), in the notation of Aho and Ullman (1969):

        sentence -> phrase1 verb phrase2         , phrase1 phrase2 verb(number of phrase1)
        phrase   -> [many] [adjective] noun      , article(gender, number) noun [adjective(gender)]

    A target noun has one of two genders, which the source does not show, and no plural: its article has.
    """
    source_words = ["", *MANY, *NOUNS[:words], *ADJECTIVES[:words], *VERBS[:words]]
    target_nouns, adjectives, verbs = TARGET_NOUNS[:words], TARGET_ADJECTIVES[: 2 * words], TARGET_VERBS[: 2 * words]
    target_words = ["", *ARTICLES, *target_nouns, *adjectives, *verbs]
    many, noun, adjective = torch.cartesian_prod(torch.arange(2), torch.arange(words), torch.arange(-1, words)).T
    gender = noun % 2
    said = [
        many * source_words.index(MANY[0]),
        _where(adjective >= 0, source_words.index(ADJECTIVES[0]) + adjective),
        source_words.index(NOUNS[0]) + noun,
    ]
    meant = [
        target_words.index(ARTICLES[0]) + 2 * gender + many,
        target_words.index(TARGET_NOUNS[0]) + noun,
        _where(adjective >= 0, target_words.index(TARGET_ADJECTIVES[0]) + 2 * adjective + gender),
    ]
    phrase, translation = torch.stack(said, 1), torch.stack(meant, 1)  # (P, 3) each
    phrases = torch.arange(len(phrase))
    subject, verb, object_ = torch.cartesian_prod(phrases, torch.arange(words), phrases).T  # (N,) each
    source_verb = source_words.index(VERBS[0]) + verb
    target_verb = target_words.index(TARGET_VERBS[0]) + 2 * verb + many[subject]
    source = torch.cat([phrase[subject], source_verb[:, None], phrase[object_]], 1)
    end = torch.zeros_like(verb)
    target = torch.cat([translation[subject], translation[object_], target_verb[:, None], end[:, None]], 1)
    return Language(_packed(source), _packed(target), source_words, target_words)


def split_sentences(count: int, split: str) -> Tensor:
    """The rows of a split, drawn with a fixed seed, the same for everyone: train 70 %, validation 10 %, test 20 %."""
    order = np.random.default_rng(0).permutation(count)
    test = round(count * TEST_SHARE)
    validation = round((count - test) / EIGHTH)
    parts = {"test": order[:test], "validation": order[test : test + validation], "train": order[test + validation :]}
    return torch.from_numpy(np.sort(parts[split]))


def _where(mask: Tensor, word: Tensor) -> Tensor:
    return torch.where(mask, word, 0)


def _packed(tokens: Tensor) -> Tensor:
    """The words of each row side by side, the zeros behind."""
    return tokens.gather(1, (tokens == 0).int().argsort(dim=1, stable=True))
