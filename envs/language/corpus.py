"""Texts to read: files in chapters, as characters or byte-pair tokens, and their words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.text import BytePairTokens
from ..core.splits import EIGHTH, TEST_SHARE

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))
OTHER = "\N{WHITE SQUARE}"  # stands for every character that is none of these
PIECES = 64  # what a file is cut into
FEWEST = 64 * PIECES  # characters of a file


@dataclass(frozen=True)
class Tokens:
    """A split of a text as numbers.

    Attributes:
        text: (L,) int64 tokens, one after the other.
        names: what each of the V tokens reads, for people.
        characters: of the text for each token, on average.
    """

    text: Tensor
    names: list[str]
    characters: float


def chapters(file: str | None) -> list[str]:
    """The chapters of a text: of a file 64 pieces of equal length, else CPython's topics (`pydoc_data.topics`).

    Topics most of whose paragraphs stand in a longer one as well are left out: no test chapter is in training.

    Raises:
        InvalidInput: a file that cannot be read as UTF-8, or of fewer than 4,096 characters.
    """
    if file is None:
        from pydoc_data.topics import topics

        return _apart([topics[name].strip() + "\n" for name in sorted(topics)])
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"Text: file {str(file)!r} cannot be read as UTF-8 text ({type(error).__name__})") from error
    if len(text) < FEWEST:
        raise InvalidInput(f"Text: file must have at least {FEWEST} characters; {str(file)!r} has {len(text)}")
    places = [round(k * len(text) / PIECES) for k in range(PIECES + 1)]
    return [text[first:last] for first, last in pairwise(places)]


def _apart(texts: list[str]) -> list[str]:
    """Texts without those of which half the paragraphs or more stand in a longer one, in their own order."""
    paragraphs = [{" ".join(part.split()) for part in text.split("\n\n")} for text in texts]
    kept: list[int] = []
    for k in sorted(range(len(texts)), key=lambda one: -len(texts[one])):
        if all(2 * len(paragraphs[k] & paragraphs[other]) < len(paragraphs[k]) for other in kept):
            kept.append(k)
    return [texts[k] for k in sorted(kept)]


@lru_cache(maxsize=8)
def split_text(file: str | None, split: str) -> str:
    """The chapters of a split joined by empty lines: train 70 %, validation 10 %, test 20 % of them.

    They are drawn with a fixed seed, the same for everyone, and stand in their own order.
    """
    parts = chapters(file)
    order = np.random.RandomState(0).permutation(len(parts))
    test = round(len(parts) * TEST_SHARE)
    validation = round((len(parts) - test) / EIGHTH)
    places = {"test": (0, test), "validation": (test, test + validation)}
    first, last = places.get(split, (test + validation, len(parts)))
    return "\n".join(parts[k] for k in np.sort(order[first:last]))


@lru_cache(maxsize=8)
def characters(file: str | None, split: str) -> Tokens:
    """A split as numbers of 97 characters: the new line, the 95 printable ones of ASCII, and one for all others."""
    number = {character: k for k, character in enumerate(CHARACTERS)}
    text = [number.get(character, len(CHARACTERS)) for character in split_text(file, split)]
    return Tokens(torch.tensor(text), [*CHARACTERS, OTHER], 1.0)


@lru_cache(maxsize=8)
def byte_pairs(file: str | None, split: str, vocabulary: int) -> Tokens:
    """A split as byte-pair tokens (Sennrich et al., 2016) whose merges were learned from the train split."""
    tokenizer = _tokenizer(file, vocabulary)
    text = split_text(file, split)
    numbers = tokenizer.encode(text)
    names = [tokenizer.decode(torch.tensor([token])) for token in range(tokenizer.vocabulary)]
    return Tokens(numbers, names, len(text) / len(numbers))


@lru_cache(maxsize=8)
def _tokenizer(file: str | None, vocabulary: int) -> BytePairTokens:
    return BytePairTokens.train([split_text(file, "train")], vocabulary)
