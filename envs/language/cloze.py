"""Cloze: restore the words that are missing from a story, or say how its sentences follow."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import BAD, GOOD, MUTED, PANEL, Canvas
from ..drawing.choices import LETTERS, Choice
from ..sequence.grammar import split_sentences
from .english import ADJECTIVES, NAMED, THE, VERBS, WORDS, meanings, words

LENGTH = 16
# what can be missing: an auxiliary or an article by itself, an adjective or a noun from either of its two mentions
GAPS = [[3, 3], [5, 5], [6, 9], [7, 10], [11, 11], [13, 13]]
SPANS = [
    [5, 6, 7],
    [9, 10, 11],
]  # three words in a row that the rest of the story tells: either mention, and what agrees
QUESTIONS = ("words", "span", "order", "next")
TOLD = {"order": ["the first one came first", "the second one came first"]}
TOLD["next"] = ["the second goes on from the first", "it does not"]
UNUSED = {"", "being", "by", "not true that", "who", "beast", "person", "beasts", "people"}
STORY_WORDS = [word for word in WORDS if word not in UNUSED and not word.endswith("ed")]
SHOWN = ["__", *STORY_WORDS, "?"]  # by its number: missing, a word, missing and asked for
BLANK, ASKED = 0, len(SHOWN) - 1


@dataclass(frozen=True)
class ClozeState:
    """The story and what is missing from it.

    Attributes:
        story: (B, 16) int64 its words, from 1 to 25, the sentences in the order in which they are shown.
        hidden: (B, 16) bool the words that are still missing.
        answers: (B, 16) int64 the words given for missing ones, 0 elsewhere.
        swapped: (B,) bool whether the later sentence is shown first or, asked what is next, the second does not go on.
        said: (B,) int64 the answer about the sentences, -1 before.
        time: (B,) int64 steps taken.
    """

    story: Tensor
    hidden: Tensor
    answers: Tensor
    swapped: Tensor
    said: Tensor
    time: Tensor


class Cloze(Task[ClozeState]):
    """Restore the missing words of a story, or say how its sentences follow.

    A story has two sentences of eight words: "the small dog is chasing some big cats", "the big cats are watching a
    calm baker". Of whom the first one tells at its end, the second one tells more.

    Isolates reading in both directions: a missing word follows without doubt from words anywhere around it, by
    agreement (an article and an auxiliary with the noun's number) or by the other mention of the same noun or
    adjective. Test stories begin with sentences that no training story begins with.

    Observation: for question "words", MultiDiscrete of 16 numbers of 27: a word from 1 to 25, 0 where one is missing,
        26 where the missing one is asked for, the leftmost first; words once given stand in their places, right or
        wrong. For "span", the same with three words in a row that are missing together and are written from left to
        right. For "order" and "next", 16 words: either sentence may stand first, or the second begins with somebody
        else than the first one ended with.
    Action: for "words" and "span", Discrete(25), the missing word's number less one; for "order", Discrete(2), 0 if the
        sentence that is shown first came first, else 1; for "next", 0 if the second goes on from the first, else 1.
    Reward: for "words" and "span", 1 / masks for the right word, else 0; else 1 for the right answer, 0 for a wrong
        one.
    Episode: terminates when no word is missing any more, after `masks` steps; for "order" and "next", after one.
    Metrics: accuracy.
    Expert: the right answer; return 1. A random word returns 1 / 25, a random order 1 / 2.
    Source: Taylor (1953) for the cloze test, Devlin et al. (2019) for learning by it and by what is next, Raffel et al.
        (2020) for spans; Lan et al. (2020) for the order of sentences.

    Args:
        question: "words", "span", "order" or "next".
        masks: how many words are missing, from 1 to 6; of a span always 3.
        split: "train", "validation" or "test": 70, 10 and 20 % of the 9,216 first sentences, the same for everyone.

    Raises:
        InvalidInput: an unknown question or split, or a number out of its range.
    """

    variants = (
        {"split": "test"},
        {"question": "order"},
        {"question": "order", "split": "test"},
        {"masks": 6},
        {"question": "span", "split": "test"},
        {"question": "next", "split": "test"},
    )

    first: Tensor
    gaps: Tensor
    number: Tensor

    def __init__(self, *, question: str = "words", masks: int = 3, split: str = "train") -> None:
        super().__init__()
        self.question = choice("Cloze: question", question, QUESTIONS)
        self.by_order = question in TOLD
        masks = integer("Cloze: masks", masks, 1, len(GAPS))
        self.masks = len(SPANS[0]) if question == "span" else masks
        choice("Cloze: split", split, SPLITS)
        every = meanings(adjectives=True)
        self.register_buffer("first", every[split_sentences(len(every), split)], persistent=False)  # (N, 7)
        self.register_buffer("gaps", torch.tensor(SPANS if question == "span" else GAPS), persistent=False)
        number = torch.tensor([STORY_WORDS.index(word) + 1 if word in STORY_WORDS else 0 for word in WORDS])
        self.register_buffer("number", number, persistent=False)  # of each word of the whole language
        self.horizon = 1 if self.by_order else self.masks
        self.reset_noise = 3 + {"words": 2 * len(GAPS), "span": 1, "order": 1, "next": 2}[question]
        self.observation_space = spaces.MultiDiscrete(np.full(LENGTH, len(SHOWN)))
        self.action_space = spaces.Discrete(2 if self.by_order else len(STORY_WORDS))

    def reset(self, noise: Tensor) -> ClozeState:
        """A first sentence of the split, any that goes on from it, and what is missing or in which order they stand."""
        begun = self.first.index_select(0, (noise[:, 0] * len(self.first)).long())  # (B, 7)
        verb = (noise[:, 1] * VERBS).long()
        swapped, subject = torch.zeros_like(verb, dtype=torch.bool), begun[:, 4:]
        if self.by_order:
            swapped = noise[:, 3] < 0.5
        if self.question == "next":
            subject = torch.where(swapped[:, None], _other_phrase(subject, noise[:, 4]), subject)
        story = self._story(begun, subject, verb, noise[:, 2])
        none = torch.zeros_like(story)
        hidden = none > 0
        if self.question == "order":
            story = torch.where(swapped[:, None], story.roll(LENGTH // 2, 1), story)
        elif self.question == "span":
            hidden = none.scatter(1, self.gaps[(noise[:, 3] * len(self.gaps)).long()], 1) > 0
        elif self.question == "words":
            order, side = noise[:, 3:].chunk(2, 1)  # (B, 6) each
            gap = order.argsort(dim=1, stable=True)[:, : self.masks]
            hidden = none.scatter(1, self.gaps[gap, (side[:, : self.masks] * 2).long()], 1) > 0
        return ClozeState(story, hidden, none, swapped, torch.full_like(verb, -1), torch.zeros_like(verb))

    def _story(self, begun: Tensor, subject: Tensor, verb: Tensor, noise: Tensor) -> Tensor:
        """The sixteen words of first meanings (B, 7), and of what somebody (B, 3) does with that verb to anyone else.

        That is never who the first sentence began with.
        """
        following = torch.cat([subject, verb[:, None], _other_phrase(begun[:, :3], noise)], 1)
        active = torch.zeros_like(verb, dtype=torch.bool)
        sentences = [words(meaning, active) for meaning in (begun, following)]
        the = torch.full_like(verb, THE)[:, None]
        told = [(the, sentence[:, 2:5], sentence[:, 6:7], sentence[:, 8:]) for sentence in sentences]
        return self.number[torch.cat([*told[0], *told[1]], 1)]  # the places of active sentences that are not empty

    def _asked(self, hidden: Tensor) -> Tensor:
        """(B, 16) bool, the leftmost missing word of each row."""
        return hidden & (hidden.cumsum(1) == 1)

    def step(self, state: ClozeState, action: Tensor, noise: Tensor) -> Step[ClozeState]:
        """Judges the answer; a word given takes its place."""
        time = state.time + 1
        if self.by_order:
            right = action == state.swapped.long()
            following = ClozeState(state.story, state.hidden, state.answers, state.swapped, action, time)
            return Step(following, right.float(), time >= 1, {"accuracy": right.float()})
        asked = self._asked(state.hidden)
        right = action + 1 == self._word(state)
        answers = torch.where(asked, action[:, None] + 1, state.answers)
        following = ClozeState(state.story, state.hidden & ~asked, answers, state.swapped, state.said, time)
        return Step(following, right.float() / self.masks, time >= self.masks, {"accuracy": right.float()})

    def _word(self, state: ClozeState) -> Tensor:
        """The word asked for, (B,); 0 where none is."""
        return (state.story * self._asked(state.hidden)).sum(1)

    def observe(self, state: ClozeState) -> Tensor:
        """The words that are there or were given, and the marks for those that are missing, (B, 16)."""
        given = torch.where(state.answers > 0, state.answers, state.story)
        return torch.where(self._asked(state.hidden), ASKED, torch.where(state.hidden, BLANK, given))

    def expert(self, state: ClozeState) -> Tensor:
        """The right word, or the right order."""
        return state.swapped.long() if self.by_order else (self._word(state) - 1).clamp(min=0)

    def draw(self, state: ClozeState, canvas: Canvas) -> None:
        """The story as the player sees it; below, the story as it was, with what was given right or wrong."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        width, middle, story = canvas.width, canvas.width // 2, state.story.tolist()
        seen = self.observe_one(state).tolist()
        self._sentences(seen, canvas, 55)
        canvas.text("in truth (hidden)", (middle, 285), size=22, colour=MUTED, anchor="center")
        if self.by_order:
            told = TOLD[self.question]
            truth, said = int(state.swapped), int(state.said)
            canvas.text(told[truth], (middle, 325), size=28, anchor="center")
            if said >= 0:
                canvas.verdict(said == truth, (middle - 170, 365, 340, 70))
                canvas.text(f"said: {told[said]}", (middle, 400), size=26, anchor="center", max_width=270)
            return
        answers = state.answers.tolist()
        verdicts = [answer == word if answer else None for answer, word in zip(answers, story, strict=True)]
        hidden = [flag or bool(answer) for flag, answer in zip(state.hidden.tolist(), answers, strict=True)]
        colours = [
            PANEL if not missing else MUTED if right is None else GOOD if right else BAD
            for missing, right in zip(hidden, verdicts, strict=True)
        ]
        canvas.cards([SHOWN[word] for word in story], (20, 300, width - 40, 140), None, colours, verdicts)
        canvas.text(f"word {int(state.time)} of {self.masks}", (middle, 460), size=22, anchor="center")

    def _sentences(self, seen: list[int], canvas: Canvas, top: int) -> None:
        middle, half = canvas.width // 2, LENGTH // 2
        asked = {"order": "Which of these sentences came first?", "next": "Does the second go on from the first?"}.get(
            self.question, "Which word is missing at the ?"
        )
        canvas.text(asked, (middle, top - 20), size=30, anchor="center")
        for row in (0, 1):
            cards = [SHOWN[word] for word in seen[row * half : (row + 1) * half]]
            place = (20, top + 10 + 105 * row, canvas.width - 40, 95)
            highlight = cards.index("?") if "?" in cards else None
            canvas.cards(cards, place, highlight)

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The two sentences, with what is missing."""
        self._sentences(observation.tolist(), canvas, 75)
        middle, seen = canvas.width // 2, observation.tolist()
        if self.question == "order":
            lines = ["one begins with those", "of whom the other one tells at its end"]
        elif self.question == "next":
            lines = ["it does if it begins with those", "of whom the first one tells at its end"]
        elif ASKED in seen:
            lines = ["it agrees with the words around it", "the end of the first is the beginning of the second"]
        else:
            lines = ["no word is missing"]
        for k, line in enumerate(lines):
            canvas.text(line, (middle, 345 + 35 * k), size=24, colour=MUTED, anchor="center")

    def vocabulary(self, part: str | None = None) -> list[str]:
        """See `Task.vocabulary`."""
        return SHOWN

    def choices(self) -> list[Choice]:
        """1 and 2 for the sentences; or a letter for each word."""
        if self.by_order:
            names = ("the first", "the second") if self.question == "order" else ("it goes on", "it does not")
            return [Choice(str(k + 1), name, k) for k, name in enumerate(names)]
        return [Choice(key, word, k) for k, (key, word) in enumerate(zip(LETTERS, STORY_WORDS, strict=False))]


def _other_phrase(phrase: Tensor, noise: Tensor) -> Tensor:
    """Many, noun and adjective (B, 3) of anyone else than these, evenly."""
    many, noun, adjective = phrase[:, 0], phrase[:, 1], phrase[:, 2] - 1
    count = 2 * NAMED * ADJECTIVES
    own = (many * NAMED + noun) * ADJECTIVES + adjective
    other = (own + 1 + (noise * (count - 1)).long()) % count
    return torch.stack([other // (NAMED * ADJECTIVES), other // ADJECTIVES % NAMED, other % ADJECTIVES + 1], 1)
