"""Compose: write likely sentences about something, none of them twice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..drawing.wording import fixed
from ..frozen.rounding import rounded
from .sentences import LENGTH, TOPICS, WORDS, emissions, every_sentence, moods, probability, transitions

NATS = 4.0  # below the likeliest sentence, from which on a sentence is worth nothing
VOCABULARY = len(WORDS)


@dataclass(frozen=True)
class ComposeState:
    """What is on the page, and what the grammar makes of the sentence that is being written.

    Attributes:
        topic: (B,) int64 what the sentences are to be about.
        written: (B, S, 7) int64 the words of S sentences, those that were given first; 0 where none stands.
        codes: (B, S) int64 each sentence as one number, 0 where none is finished.
        worth: (B, S) float32 what each finished sentence is worth to the writer.
        forward: (B, 22) float64 the joint probability of the current sentence's words and each hidden state.
        sentence: (B,) int64 the one that is being written.
        place: (B,) int64 its words so far.
        best: (B,) float32 the most that the sentences of this episode can be worth together.
    """

    topic: Tensor
    written: Tensor
    codes: Tensor
    worth: Tensor
    forward: Tensor
    sentence: Tensor
    place: Tensor
    best: Tensor


class Compose(Task[ComposeState]):
    """Write likely sentences about something, word by word, none of them twice.

    Isolates composing: every word must leave a way to a likely ending, and likely sentences are soon used up, so that
    what is on the page decides what is worth writing. A small grammar says exactly how likely a sentence is: a hidden
    Markov model with a calm and a wild mood, which choose words differently, 22 states in all; the probability of a
    sentence given its topic is a sum over moods, by the forward algorithm. Every episode begins with some of the
    likeliest sentences about its topic on the page, which those who know the list by heart would write again.

    Observation: a dict. "topic": Discrete(4), uniform, the subject that the sentences must have; "written":
        MultiDiscrete of 7 words of 19 for each sentence, those given first, 0 where no word stands; "sentence":
        Discrete, how many sentences are finished, those given included; "place": Discrete(8), words of the current one.
    Action: Discrete(19), the next word; 0 ends the sentence. An eighth word makes it worthless and ends it.
    Reward: at the end of a sentence what it is worth, divided by the most that all those to be written can be worth: 1
        for the likeliest about the topic, falling by a quarter a nat, 0 for one that is not in the language or is on
        the page already.
    Episode: terminates with the last sentence, of `sentences`.
    Metrics: of each finished sentence, grammatical and new, and its log_prob in nats where it has one.
    Expert: the next word of the likeliest sentence that begins like this one and is not on the page, the end where
            none is worth anything; return 1, a bound.
        Random words return 0; the likeliest sentences by heart, whatever is on the page, about a half.
    Source: Rabiner (1989) for the forward algorithm; the grammar and the rules are Palaestra's own.

    Args:
        sentences: to be written, 1 to 6; as many others are on the page, drawn from the likeliest 2 * `sentences`.

    Raises:
        InvalidInput: a number of sentences outside its limits.
    """

    variants = ({"sentences": 1},)

    reset_noise = 2
    moods: Tensor
    transitions: Tensor
    emissions: Tensor
    sentences: Tensor
    codes: Tensor
    prefixes: Tensor
    values: Tensor
    peaks: Tensor
    given: Tensor
    bases: Tensor

    def __init__(self, *, sentences: int = 3) -> None:
        super().__init__()
        self.count = integer("Compose: sentences", sentences, 1, 6)
        self.horizon = self.count * (LENGTH + 1)
        pool = 2 * self.count
        self.register_buffer("moods", moods(), persistent=False)
        self.register_buffer("transitions", transitions(), persistent=False)
        self.register_buffer("emissions", emissions(), persistent=False)
        self.register_buffer("bases", VOCABULARY ** torch.arange(LENGTH), persistent=False)
        listed = [_by_likelihood(topic) for topic in range(len(TOPICS))]
        most = max(int((_worth(found, found[0]) > 0).sum()) for _, found in listed)  # no other is worth writing
        language = torch.stack([words[:most] for words, _ in listed])  # (topics, M, 7), the likeliest first
        log_prob = torch.stack([found[:most] for _, found in listed])
        self.register_buffer("sentences", language, persistent=False)
        partial = (language * self.bases).cumsum(2)
        partial = torch.cat([torch.zeros_like(partial[..., :1]), partial], 2)  # (topics, M, 8)
        self.register_buffer("prefixes", partial.transpose(1, 2).contiguous(), persistent=False)  # (topics, 8, M)
        self.register_buffer("codes", partial[..., -1].contiguous(), persistent=False)
        self.register_buffer("peaks", log_prob[:, 0].clone(), persistent=False)
        self.register_buffer("values", _worth(log_prob, log_prob[:, :1]), persistent=False)  # (topics, M)
        rows = torch.tensor(list(combinations(range(pool), self.count)))
        self.register_buffer("given", rows, persistent=False)  # (ways to choose half of the pool, sentences)
        self.observation_space = spaces.Dict(
            {
                "topic": spaces.Discrete(len(TOPICS)),
                "written": spaces.MultiDiscrete(np.full(pool * LENGTH, VOCABULARY)),
                "sentence": spaces.Discrete(pool + 1),
                "place": spaces.Discrete(LENGTH + 1),
            }
        )
        self.action_space = spaces.Discrete(VOCABULARY)

    def reset(self, noise: Tensor) -> ComposeState:
        """A topic, and half of its likeliest sentences on the page."""
        topic = (noise[:, 0] * len(TOPICS)).long()
        rows = self.given[(noise[:, 1] * len(self.given)).long()]  # (B, sentences)
        given = self.sentences[topic[:, None], rows]
        written = torch.cat([given, torch.zeros_like(given)], 1)
        codes = self.codes[topic[:, None], rows]
        codes = torch.cat([codes, torch.zeros_like(codes)], 1)
        pool = self.values[topic][:, : 2 * self.count]
        best = pool.sum(1) - pool.gather(1, rows).sum(1)
        nothing, start = torch.zeros_like(codes, dtype=torch.float32), torch.zeros_like(topic)
        return ComposeState(topic, written, codes, nothing, self.moods[topic], start + self.count, start, best)

    def step(self, state: ComposeState, action: Tensor, noise: Tensor) -> Step[ComposeState]:
        """Writes the word, or ends the sentence and says what it is worth."""
        told = self.emissions[state.topic, action]  # (B, 22)
        forward = (state.forward @ self.transitions) * told
        room, ends = state.place < LENGTH, action == 0
        here = torch.arange(2 * self.count, device=action.device) == state.sentence[:, None]  # (B, S)
        there = torch.arange(LENGTH, device=action.device) == state.place[:, None]  # (B, 7)
        written = torch.where(here[..., None] & there[:, None], action[:, None, None], state.written)
        code = ((written * here[..., None]).sum(1) * self.bases).sum(1)  # (B,)
        finished = ends | ~room
        likely = rounded(forward.sum(1).clamp(min=1e-30).log())
        grammatical = ends & (forward.sum(1) > 0)
        new = ~(state.codes == code[:, None]).any(1)
        worth = _worth(likely, self.peaks[state.topic]) * (grammatical & new & finished)
        mine = here & finished[:, None]
        following = ComposeState(
            state.topic,
            written,
            torch.where(mine, code[:, None], state.codes),
            torch.where(mine, worth[:, None], state.worth),
            torch.where(finished[:, None], self.moods[state.topic], forward),
            state.sentence + finished,
            torch.where(finished, 0, state.place + 1),
            state.best,
        )
        metrics = {
            "grammatical": grammatical.float().masked_fill(~finished, torch.nan),
            "new": new.float().masked_fill(~finished, torch.nan),
            "log_prob": likely.masked_fill(~grammatical, torch.nan),
        }
        return Step(following, worth / state.best, following.sentence >= 2 * self.count, metrics)

    def observe(self, state: ComposeState) -> dict[str, Tensor]:
        """The topic, the page, and where the next word stands."""
        written = state.written.flatten(1)
        return {"topic": state.topic, "written": written, "sentence": state.sentence, "place": state.place}

    def expert(self, state: ComposeState) -> Tensor:
        """The next word of the likeliest new sentence that begins like this one; the end where there is none, (B,)."""
        row = state.sentence.clamp(max=2 * self.count - 1)[:, None, None].expand(-1, 1, LENGTH)
        words = state.written.gather(1, row)[:, 0]  # (B, 7)
        fits = self.prefixes[state.topic, state.place] == (words * self.bases).sum(1)[:, None]  # (B, M)
        codes = self.codes[state.topic]
        for sentence in range(2 * self.count):
            fits = fits & (codes != state.codes[:, sentence : sentence + 1])
        best = fits.to(torch.uint8).argmax(1)  # they are sorted: the first is the likeliest
        word = self.sentences[state.topic, best, state.place.clamp(max=LENGTH - 1)]
        return torch.where(fits.any(1) & (state.place < LENGTH), word, 0)

    def draw(self, state: ComposeState, canvas: Canvas) -> None:
        """The page, with what each sentence is worth."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        worth = [float(part) for part in state.worth]
        self._draw(int(state.topic), state.written, int(state.sentence), worth, canvas)
        told = f"worth so far {fixed(sum(worth), 2)} of at most {fixed(float(state.best), 2)}"
        canvas.text(told, (canvas.width // 2, 452), size=24, colour=GOOD, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The page."""
        written = observation["written"].view(2 * self.count, LENGTH)
        self._draw(int(observation["topic"]), written, int(observation["sentence"]), None, canvas)
        told = "likely sentences count most, repeated ones nothing"
        canvas.text(told, (canvas.width // 2, 452), size=22, colour=MUTED, anchor="center")

    def _draw(self, topic: int, written: Tensor, current: int, worth: list[float] | None, canvas: Canvas) -> None:
        """A line for each sentence, the current one framed."""
        middle, height = canvas.width // 2, min(48, 340 // (2 * self.count + 1))
        canvas.text(f"Write new sentences about a {TOPICS[topic]}", (middle, 32), size=28, anchor="center")
        y = 68
        for k, row in enumerate(written.tolist()):
            if k in (0, self.count):
                told = "on the page already" if k == 0 else "yours"
                canvas.text(told, (24, y + 8), size=20, colour=MUTED)
                y += 30
            text = " ".join(WORDS[word] for word in row if word)
            if k == current:
                canvas.outline((16, y, canvas.width - 32, height - 4), ACCENT, 3)
                text += " _"
            elif k < current:
                text += "."
            at = y + (height - 4) // 2
            room = canvas.width - (130 if worth is not None else 60)
            canvas.text(text, (28, at), size=min(26, height - 8), anchor="midleft", max_width=room)
            if worth is not None and self.count <= k < current:
                canvas.text(fixed(worth[k], 2), (canvas.width - 28, at), size=24, colour=GOOD, anchor="midright")
            y += height

    def choices(self) -> list[Choice]:
        """0 ends the sentence; the other keys are words."""
        return numbered(["end", *WORDS[1:]])


def _worth(log_prob: Tensor, peak: Tensor) -> Tensor:
    """What sentences of these log-probabilities are worth where the likeliest has `peak`, nats; from 0 to 1."""
    return (1 - (peak - log_prob) / NATS).clamp(0, 1)


def _by_likelihood(topic: int) -> tuple[Tensor, Tensor]:
    """Every sentence (M, 7) about a topic, the likeliest first, and their log-probabilities (M,) float32."""
    words = every_sentence(topic)
    log_prob = rounded(probability(words, topic).log())
    order = log_prob.argsort(descending=True, stable=True)
    return words[order], log_prob[order]
