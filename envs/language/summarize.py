"""Summarize: choose the sentences that tell most of what a document tells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, INK, MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..sequence.grammar import split_sentences
from .english import ADJECTIVE, ADJECTIVES, NAMED, NOUN, VERB, VERBS, WORDS

ACTORS = ADJECTIVES * NAMED  # whom a document can tell of, such as the small dog
CAST = 6  # of them in one document
FACTS = CAST + VERBS
FIELD = 5  # bits of a count of sentences, of which there are 10 at most
SIZES = (ADJECTIVES, NAMED, VERBS, ADJECTIVES, NAMED, 2)  # of a sentence's five words, and of whether it is chosen


@dataclass(frozen=True)
class SummarizeState:
    """A document and what was chosen of it.

    Attributes:
        cast: (B, 6) int64 who the document tells of, adjective + 4 noun.
        sentences: (B, N, 3) int64 of each sentence who acts and on whom, from 0 to 5, and the verb.
        facts: (B, N) int64 what each sentence tells of, a bit for each of the cast's six and the four verbs.
        mentions: (B, 10) int64 how many sentences tell of each.
        chosen: (B, N) bool.
        time: (B,) int64 sentences chosen so far.
    """

    cast: Tensor
    sentences: Tensor
    facts: Tensor
    mentions: Tensor
    chosen: Tensor
    time: Tensor


class Summarize(Task[SummarizeState]):
    """Choose the sentences of a document that together tell most of what it tells.

    Isolates the choice of a set, as extractive summaries need it: a sentence is worth what it adds to those that are
    chosen, and what it tells of counts for as much as the whole document makes of it. Each sentence tells who does what
    to whom, in short: "small dog chasing big cat". A document has a cast of six, told of unequally often; its facts
    are who is in it and what is done, each weighed by how many of its sentences tell of it.

    Observation: MultiDiscrete: of each sentence adjective (4), noun (6), verb (4), adjective (4) and noun (6), and 1 if
        it is chosen, else 0.
    Action: Discrete(sentences), the next one; one that is chosen already adds nothing.
    Reward: what the choice adds to the share of the document's weight that is covered; the return is the coverage.
    Episode: terminates after `choose` steps.
    Metrics: coverage, at the end.
    Expert: the best set of those that are still possible, by trying all; of its sentences first what adds most:
        return 0.95. Random choices return 0.74.
    Source: coverage as a summary's worth of Lin and Bilmes (2011), by facts as in Nenkova and Passonneau (2004).

    Args:
        sentences: of a document, from 2 to 10.
        choose: how many to choose, from 1 to 4 and fewer than all.
        split: "train", "validation" or "test": 70, 10 and 20 % of the 552 pairs of main characters, the same for
            everyone.

    Raises:
        InvalidInput: an unknown split, or a number out of its range.
    """

    variants = ({"split": "test"}, {"sentences": 6, "choose": 2})

    leads: Tensor
    edges: Tensor
    subsets: Tensor

    def __init__(self, *, sentences: int = 8, choose: int = 3, split: str = "train") -> None:
        super().__init__()
        self.count = integer("Summarize: sentences", sentences, 2, 10)
        self.horizon = integer("Summarize: choose", choose, 1, min(4, self.count - 1))
        choice("Summarize: split", split, SPLITS)
        pairs = torch.tensor([(one, other) for one in range(ACTORS) for other in range(ACTORS) if one != other])
        self.register_buffer("leads", pairs[split_sentences(len(pairs), split)], persistent=False)  # (M, 2)
        shares = torch.tensor(
            [1 / k for k in range(1, CAST + 1)], dtype=torch.float64
        )  # how often who acts, relatively
        self.register_buffer("edges", (shares.cumsum(0) / shares.sum())[:-1].float(), persistent=False)
        every = [set(s) for size in range(self.horizon, -1, -1) for s in combinations(range(self.count), size)]
        member = torch.tensor([[k in subset for k in range(self.count)] for subset in every])
        self.register_buffer("subsets", member, persistent=False)  # (S, N), the largest first
        self.reset_noise = 2 + 3 * self.count
        self.observation_space = spaces.MultiDiscrete(np.array(SIZES * self.count))
        self.action_space = spaces.Discrete(self.count)

    def reset(self, noise: Tensor) -> SummarizeState:
        """Two main characters of the split, four others, and sentences about them."""
        lead, stride, told = noise.split([1, 1, 3 * self.count], 1)
        leads = self.leads.index_select(0, (lead[:, 0] * len(self.leads)).long())
        first, second = leads[:, :1], leads[:, 1:]
        # steps of one length around a ring of 23, all but the first, from the second on: they meet nobody twice
        ring = ACTORS - 1
        length = 1 + (stride * (ring - 1)).long()
        others = (second - (second > first).long() + length * torch.arange(1, CAST - 1, device=noise.device)) % ring
        others = others + (others >= first)
        who, whom, verb = told.chunk(3, 1)
        first = (who[..., None] >= self.edges).sum(-1)
        second = (first + 1 + (whom * (CAST - 1)).long()) % CAST
        return self.begin(torch.cat([leads, others], 1), torch.stack([first, second, (verb * VERBS).long()], 2))

    def begin(self, cast: Tensor, sentences: Tensor) -> SummarizeState:
        """The start of documents with that cast (B, 6) and those sentences (B, N, 3), see `SummarizeState`."""
        who, whom, verb = sentences.unbind(2)
        facts = (1 << who) | (1 << whom) | (1 << (verb + CAST))
        # each fact counts as one in the field of its number, so that a single sum counts all of them
        counts = ((1 << FIELD * who) + (1 << FIELD * whom) + (1 << FIELD * (verb + CAST))).sum(1, keepdim=True)
        mentions = counts >> FIELD * torch.arange(FACTS, device=facts.device) & (1 << FIELD) - 1
        chosen = torch.zeros_like(facts, dtype=torch.bool)
        return SummarizeState(cast, sentences, facts, mentions, chosen, torch.zeros_like(cast[:, 0]))

    def step(self, state: SummarizeState, action: Tensor, noise: Tensor) -> Step[SummarizeState]:
        """Adds a sentence to those chosen."""
        chosen = state.chosen | (torch.arange(self.count, device=action.device) == action[:, None])
        before = _told(state.chosen[:, None], state.facts)  # (B, 1)
        after = before | state.facts.gather(1, action[:, None])
        gain, covered = _weight(torch.cat([after & ~before, after], 1), state.mentions).unbind(1)
        whole = 3 * self.count
        time = state.time + 1
        ended = time >= self.horizon
        coverage = (covered.float() / whole).masked_fill(~ended, torch.nan)
        following = SummarizeState(state.cast, state.sentences, state.facts, state.mentions, chosen, time)
        return Step(following, gain.float() / whole, ended, {"coverage": coverage})

    def observe(self, state: SummarizeState) -> Tensor:
        """The words of each sentence, and whether it is chosen, (B, 6 N)."""
        return torch.cat([self._words(state), state.chosen.long()[..., None]], 2).flatten(1)

    def _words(self, state: SummarizeState) -> Tensor:
        """(B, N, 5) adjective, noun, verb, adjective and noun of each sentence."""
        who, whom, verb = state.sentences.unbind(2)
        first, second = (state.cast.gather(1, part) for part in (who, whom))
        parts = [first % ADJECTIVES, first // ADJECTIVES, verb, second % ADJECTIVES, second // ADJECTIVES]
        return torch.stack(parts, 2)

    def expert(self, state: SummarizeState) -> Tensor:
        """Of the best set that can still be reached the sentence that adds most."""
        facts, chosen = state.facts, state.chosen[:, None]  # (B, N), (B, 1, N)
        missing = self.subsets & ~chosen  # (B, S, N)
        possible = missing.sum(2) <= (self.horizon - state.time)[:, None]
        value = _weight(_told(self.subsets | chosen, facts), state.mentions)
        best = value.masked_fill(~possible, -1).argmax(1)[:, None, None].expand(-1, 1, self.count)
        each = chosen | torch.eye(self.count, dtype=torch.bool, device=facts.device)  # (B, N, N)
        worth = _weight(_told(each, facts), state.mentions)
        return worth.masked_fill(~missing.gather(1, best)[:, 0], -1).argmax(1)

    def draw(self, state: SummarizeState, canvas: Canvas) -> None:
        """The document as the player sees it; below, how often it tells of what, and what of that is covered."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        told = int(_told(state.chosen[None, None], state.facts[None]))
        covered = [bool(told >> fact & 1) for fact in range(FACTS)]
        mentions, pitch = state.mentions.tolist(), 250 // self.count
        self._document(self.observe_one(state), canvas, pitch)
        share = sum(count for count, told in zip(mentions, covered, strict=True) if told) / (3 * self.count)
        done = f"{int(state.time)} of {self.horizon} chosen, {100 * share:.0f} % of the document covered"
        canvas.text(done, (canvas.width // 2, 325), 24, ACCENT, "center")
        names = [_actor(actor % ADJECTIVES, actor // ADJECTIVES) for actor in state.cast.tolist()]
        names += [WORDS[VERB + verb] for verb in range(VERBS)]
        for k, (name, count, told) in enumerate(zip(names, mentions, covered, strict=True)):
            x, y = (20, 352 + 21 * k) if k < CAST else (270, 352 + 21 * (k - CAST))
            canvas.text(f"{'[x] ' if told else ''}{count} {name}", (x, y), 18, GOOD if told else MUTED)

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The document, and which sentences are chosen."""
        self._document(observation, canvas, 340 // self.count)
        lines = ("cover whom and what the document tells of,", "most of all what it tells of most often")
        for k, line in enumerate(lines):
            canvas.text(line, (canvas.width // 2, 425 + 27 * k), 22, MUTED, "center")

    def _document(self, observation: Tensor, canvas: Canvas, pitch: int) -> None:
        rows = observation.view(self.count, 6).tolist()
        canvas.text(
            f"Choose {self.horizon} sentences that tell most of it", (canvas.width // 2, 28), 28, anchor="center"
        )
        for k, (adjective, noun, verb, other, whom, chosen) in enumerate(rows):
            line = f"{k}  {_actor(adjective, noun)} {WORDS[VERB + verb]} {_actor(other, whom)}"
            middle = 56 + pitch * k + pitch // 2
            canvas.text(line, (24, middle), 22, INK if chosen else MUTED, "midleft", 430)
            if chosen:
                canvas.outline((14, middle - 14, 452, 28), GOOD, 3)

    def choices(self) -> list[Choice]:
        """A number for each sentence."""
        return numbered([f"sentence {k}" for k in range(self.count)])


def _told(some: Tensor, facts: Tensor) -> Tensor:
    """What sets of sentences (B, S, N) tell of, (B, S) bits, of what each sentence does, (B, N) bits."""
    told = torch.zeros_like(facts[:, :1]) | torch.zeros_like(some[..., 0], dtype=torch.int64)
    for sentence in range(facts.shape[1]):
        told = told | torch.where(some[..., sentence], facts[:, sentence, None], 0)
    return told


def _weight(told: Tensor, mentions: Tensor) -> Tensor:
    """The mentions (B, 10) of what is told of (B, S), (B, S)."""
    weight = torch.zeros_like(told)
    for fact in range(FACTS):
        weight = weight + (told >> fact & 1) * mentions[:, fact, None]
    return weight


def _actor(adjective: int, noun: int) -> str:
    return f"{WORDS[ADJECTIVE + adjective]} {WORDS[NOUN + noun]}"
