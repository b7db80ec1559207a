"""A small grammar of sentences about a topic: a hidden Markov model in which two moods choose words differently."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

WORDS = ["", "a", "the", "old", "calm", "wild", "quick", "dog", "cat", "baker", "singer", "sleeps", "runs", "sings"]
WORDS += ["sees", "helps", "chases", "softly", "loudly"]
TOPICS = ["dog", "cat", "baker", "singer"]
LENGTH = 7  # words of the longest sentence
PARTS = ["start", "article", "adjective", "subject", "stays", "acts", "manner"]  # of a sentence, without and ...
PARTS += ["other article", "other adjective", "other", "end"]  # ... with another that something is done to
WILD = {"dog": 0.7, "cat": 0.45, "baker": 0.25, "singer": 0.4}  # how probable the wild mood is, by topic

# By part: what comes next, in the calm and in the wild mood.
NEXT = {
    "start": {"article": (1.0, 1.0)},
    "article": {"adjective": (0.4, 0.5), "subject": (0.6, 0.5)},
    "adjective": {"subject": (1.0, 1.0)},
    "subject": {"stays": (0.5, 0.35), "acts": (0.5, 0.65)},
    "stays": {"manner": (0.5, 0.4), "end": (0.5, 0.6)},
    "manner": {"end": (1.0, 1.0)},
    "acts": {"other article": (1.0, 1.0)},
    "other article": {"other adjective": (0.3, 0.2), "other": (0.7, 0.8)},
    "other adjective": {"other": (1.0, 1.0)},
    "other": {"end": (1.0, 1.0)},
    "end": {},
}
ARTICLES = {"a": (0.45, 0.4), "the": (0.55, 0.6)}
ADJECTIVES = {"old": (0.45, 0.1), "calm": (0.4, 0.05), "wild": (0.05, 0.5), "quick": (0.1, 0.35)}
# By part: its words, in the calm and in the wild mood. The subject is the topic.
SAID = {
    "article": ARTICLES,
    "adjective": ADJECTIVES,
    "stays": {"sleeps": (0.6, 0.1), "runs": (0.1, 0.6), "sings": (0.3, 0.3)},
    "acts": {"sees": (0.5, 0.25), "helps": (0.4, 0.1), "chases": (0.1, 0.65)},
    "manner": {"softly": (0.85, 0.15), "loudly": (0.15, 0.85)},
    "other article": ARTICLES,
    "other adjective": ADJECTIVES,
    "other": {"dog": (0.3, 0.25), "cat": (0.35, 0.45), "baker": (0.2, 0.1), "singer": (0.15, 0.2)},
    "end": {"": (1.0, 1.0)},
}
STATES = 2 * len(PARTS)  # every part in the calm mood, then in the wild one


def moods() -> Tensor:
    """The distribution (topics, 22) float64 of the hidden state before the first word."""
    start = torch.zeros(len(TOPICS), STATES, dtype=torch.float64)
    wild = torch.tensor([WILD[topic] for topic in TOPICS], dtype=torch.float64)
    start[:, 0], start[:, len(PARTS)] = 1 - wild, wild
    return start


def transitions() -> Tensor:
    """The probability (22, 22) float64 of each next state; the mood stays."""
    matrix = torch.zeros(STATES, STATES, dtype=torch.float64)
    for part, following in NEXT.items():
        for then, by_mood in following.items():
            for mood, share in enumerate(by_mood):
                matrix[_state(part, mood), _state(then, mood)] = share
    return matrix


def emissions() -> Tensor:
    """The probability (topics, words, 22) float64 of each word in each state; word 0 is the end."""
    table = torch.zeros(len(TOPICS), len(WORDS), STATES, dtype=torch.float64)
    for mood in (0, 1):
        for part, words in SAID.items():
            for word, by_mood in words.items():
                table[:, WORDS.index(word), _state(part, mood)] = by_mood[mood]
        for topic, name in enumerate(TOPICS):
            table[topic, WORDS.index(name), _state("subject", mood)] = 1
    return table


def _state(part: str, mood: int) -> int:
    return PARTS.index(part) + mood * len(PARTS)


def every_sentence(topic: int) -> Tensor:
    """All sentences about a topic, (1290, 7) int64, 0 after the last word."""
    articles, adjectives = list(ARTICLES), ["", *ADJECTIVES]
    others = list(product(articles, adjectives, SAID["other"]))
    ends: list[tuple[str, ...]] = [(verb, manner) for verb in SAID["stays"] for manner in ["", *SAID["manner"]]]
    ends += [(verb, *other) for verb in SAID["acts"] for other in others]
    rows = []
    for article, adjective, end in product(articles, adjectives, ends):
        words = [WORDS.index(word) for word in (article, adjective, TOPICS[topic], *end) if word]
        rows.append(words + [0] * (LENGTH - len(words)))
    return torch.tensor(rows)


def probability(sentences: Tensor, topic: int) -> Tensor:
    """The probability (N,) float64 of sentences (N, 7) given the topic, by the forward algorithm."""
    step, said = transitions(), emissions()[topic]
    forward = moods()[topic].expand(len(sentences), -1)
    total = forward.new_zeros(len(sentences))
    ended = torch.zeros(len(sentences), dtype=torch.bool)
    for word in torch.cat([sentences, torch.zeros_like(sentences[:, :1])], 1).unbind(1):
        forward = (forward @ step) * said[word]
        total = total + forward.sum(1) * ((word == 0) & ~ended)
        ended = ended | (word == 0)
    return total
