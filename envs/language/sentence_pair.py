"""SentencePair: say how two sentences stand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..sequence.grammar import split_sentences
from .english import ADJECTIVES, NAMED, NOT, PLACES, VERBS, WORDS, kind, meanings, question, spelled, words

LABELS = {
    "entailment": ["follows", "is denied", "neither"],
    "paraphrase": ["another meaning", "the same meaning"],
    "acceptability": ["the first", "the second"],
    "answer": ["no answer", "an answer"],
    "relatedness": ["nothing is the same", "one thing is", "two things are", "three things are", "all is the same"],
}
ASKED = {
    "entailment": "If the first is true, what of the second?",
    "paraphrase": "Do both say the same?",
    "acceptability": "Which one is right English?",
    "answer": "Does the second answer the first?",
    "relatedness": "How much is the same in both?",
}
PARTS = {  # of a meaning, or of a sentence, what a second one may differ in
    "entailment": [1, 2, 3, 5, 6],
    "paraphrase": [0, 1, 2, 3, 4, 5, 6],
    "acceptability": [1, 3, 4, 6, 8, 10],
    "answer": [3, 4, 5, 3, 0, 1],  # where who acts is asked for, and where who is acted on is
    "relatedness": [0, 2, 4, 6],  # a number or an adjective
}


@dataclass(frozen=True)
class SentencePairState:
    """Two sentences, how they stand to each other, and what was said of it.

    Attributes:
        first: (B, 11) int64 words, 0 where none stands.
        second: (B, 11) likewise.
        label: (B,) int64 the right answer.
        guess: (B,) int64 the answer given, -1 before.
    """

    first: Tensor
    second: Tensor
    label: Tensor
    guess: Tensor


class SentencePair(Task[SentencePairState]):
    """Say how two sentences stand to each other.

    Read two sentences about who does what to whom, either of which may be passive, and name their relation.

    Isolates the comparison of meanings: which words stand where says nothing by itself, it is who acts, on whom, and
    how that matches. Every label follows from how the pair was made, and all labels are equally common. Test pairs are
    made from sentences that no training pair is made from. The relations:

    - "entailment": whether the second sentence follows from the first (0), is denied by it (1) or neither (2). A dog is
      a beast, a small dog a dog; "not true that" denies what follows.
    - "paraphrase": whether both say the same (1), or another noun, adjective, number or verb, or the roles
      exchanged (0).
    - "acceptability": which one of two sentences, which differ in one word, is right (0 the first, 1 the second); in
      the other one an article, an auxiliary, a noun or the verb's form does not agree.
    - "answer": whether the second sentence answers the question that is the first (1), or tells of another deed or of
      the deed of somebody else (0).
    - "relatedness": how much of four things is the same in both, from 0 to 4: who acts, the deed, who is acted on, and
      all else, which is the numbers and the adjectives. It is a degree, and each is equally common.

    Observation: Dict of ``first`` and ``second``, MultiDiscrete of 11 words of 38 each, 0 where none stands; each place
        has its role: opening, article, adjective, noun, auxiliary, "being", verb, "by", article, adjective, noun.
    Action: Discrete(3) for "entailment", Discrete(5) for "relatedness", else Discrete(2): the label.
    Reward: 1 for the right label, 0 for a wrong one; for "relatedness" 1 less a quarter of the distance to the degree.
    Episode: terminates after one answer.
    Metrics: accuracy; for "relatedness" also error, the distance.
    Expert: the right label; return 1. A guess returns 1 / 3 or 1 / 2, and 0.6 for "relatedness".
    Source: Bowman et al. (2015) for entailment, Dolan and Brockett (2005) for paraphrase, Warstadt et al. (2020) for
        minimal pairs, Wang et al. (2019) for questions with sentences, Marelli et al. (2014) for relatedness.

    Args:
        relation: "entailment", "paraphrase", "acceptability", "answer" or "relatedness".
        split: "train", "validation" or "test": 70, 10 and 20 % of the 14,400 sentences that pairs are made from, the
            same for everyone.

    Raises:
        InvalidInput: an unknown relation or split.
    """

    variants = (
        {"split": "test"},
        {"relation": "paraphrase"},
        {"relation": "acceptability"},
        {"relation": "answer", "split": "test"},
        {"relation": "relatedness", "split": "test"},
    )

    horizon = 1
    base: Tensor
    parts: Tensor

    def __init__(self, *, relation: str = "entailment", split: str = "train") -> None:
        super().__init__()
        self.relation = choice("SentencePair: relation", relation, LABELS)
        self.graded = relation == "relatedness"
        self.reset_noise = 13 if self.graded else 10
        choice("SentencePair: split", split, SPLITS)
        every = meanings()
        self.register_buffer("base", every[split_sentences(len(every), split)], persistent=False)  # (N, 7)
        self.register_buffer("parts", torch.tensor(PARTS[relation]), persistent=False)
        self.labels = LABELS[relation]
        sentence = spaces.MultiDiscrete(np.full(PLACES, len(WORDS)))
        self.observation_space = spaces.Dict({"first": sentence, "second": sentence})
        self.action_space = spaces.Discrete(len(self.labels))

    def reset(self, noise: Tensor) -> SentencePairState:
        """A sentence of the split, a label, and a second sentence that makes it true."""
        meaning = self.base.index_select(0, (noise[:, 0] * len(self.base)).long())
        label = (noise[:, 1] * len(self.labels)).long()
        make = {
            "entailment": _entailment,
            "paraphrase": _paraphrase,
            "acceptability": _acceptability,
            "answer": _answer,
            "relatedness": _relatedness,
        }[self.relation]
        first, second = make(meaning, label, noise[:, 2:], self.parts)
        return SentencePairState(first, second, label, torch.full_like(label, -1))

    def step(self, state: SentencePairState, action: Tensor, noise: Tensor) -> Step[SentencePairState]:
        """Judges the answer."""
        right = (action == state.label).float()
        following = SentencePairState(state.first, state.second, state.label, action)
        over, metrics = torch.ones_like(right, dtype=torch.bool), {"accuracy": right}
        if not self.graded:
            return Step(following, right, over, metrics)
        error = (action - state.label).abs().float()
        return Step(following, 1 - error / 4, over, metrics | {"error": error})

    def observe(self, state: SentencePairState) -> dict[str, Tensor]:
        """Both sentences."""
        return {"first": state.first, "second": state.second}

    def expert(self, state: SentencePairState) -> Tensor:
        """The right label."""
        return state.label

    def draw(self, state: SentencePairState, canvas: Canvas) -> None:
        """Both sentences, the answer given and the right one."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        self._pair(state.first, state.second, canvas, 0)
        middle, label, guess = canvas.width // 2, int(state.label), int(state.guess)
        canvas.text(f"truth (hidden): {self.labels[label]}", (middle, 345), size=26, colour=MUTED, anchor="center")
        if guess >= 0:
            canvas.verdict(guess == label, (middle - 170, 375, 340, 75))
            canvas.text(f"answer: {self.labels[guess]}", (middle, 412), size=28, anchor="center", max_width=270)

    def _pair(self, first: Tensor, second: Tensor, canvas: Canvas, down: int) -> None:
        middle, width = canvas.width // 2, canvas.width
        canvas.text(ASKED[self.relation], (middle, 35 + down), size=28, anchor="center")
        for top, name, sentence in ((70, "first", first), (205, "second", second)):
            canvas.text(name, (20, top + down), size=20, colour=MUTED)
            mark = "?" if name == "first" and self.relation == "answer" else ""
            canvas.cards([*spelled(sentence.tolist(), "|").split("|"), *mark], (20, top + 18 + down, width - 40, 95))

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """Both sentences and the possible answers."""
        self._pair(observation["first"], observation["second"], canvas, 20)
        between, size = (22, 20) if self.graded else (32, 24)
        if self.graded:
            told = "of these: who acts, the deed, who is acted on, all else"
            canvas.text(told, (canvas.width // 2, 348), size=20, colour=MUTED, anchor="center")
        for k, label in enumerate(self.labels):
            canvas.text(
                f"{k}: {label}",
                (canvas.width // 2, (372 if self.graded else 380) + between * k),
                size=size,
                anchor="center",
            )

    def vocabulary(self, part: str | None = None) -> list[str]:
        """See `Task.vocabulary`."""
        return WORDS

    def choices(self) -> list[Choice]:
        """A number for each label."""
        return numbered(self.labels)


def _other(value: Tensor, noise: Tensor, count: int) -> Tensor:
    """Another one (B,) of `count` values than `value`, evenly."""
    return (value + 1 + (noise * (count - 1)).long()) % count


def _changed(meaning: Tensor, part: Tensor, noise: Tensor) -> Tensor:
    """Meanings (B, 7) of which the given part (B,) is another one, so that neither is true of the other.

    noise: (B,), what it becomes. An adjective that there was not is added, none is taken away.
    """
    noise = noise[:, None]
    noun, adjective = meaning[:, 1::4], meaning[:, 2::4]  # (B, 2) each
    named, other_kind = _other(noun.clamp(max=NAMED - 1), noise, NAMED), 2 * NAMED + 1 - noun
    noun = torch.where(noun < NAMED, named, other_kind)
    added = (noise * ADJECTIVES).long() + 1
    adjective = torch.where(adjective > 0, _other((adjective - 1).clamp(min=0), noise, ADJECTIVES) + 1, added)
    verb = _other(meaning[:, 3:4], noise, VERBS)
    every = _joined(1 - meaning[:, 0::4], noun, adjective, verb)
    return torch.where(torch.arange(7, device=meaning.device) == part[:, None], every, meaning)


def _joined(many: Tensor, noun: Tensor, adjective: Tensor, verb: Tensor) -> Tensor:
    """Meanings (B, 7) of both roles' many, noun and adjective (B, 2), and verbs (B, 1)."""
    who, whom = torch.stack([many, noun, adjective], 2).unbind(1)  # (B, 3) each
    return torch.cat([who, verb, whom], 1)


def _exchanged(meaning: Tensor) -> Tensor:
    """Who acts and who is acted on, the other way round."""
    return torch.cat([meaning[:, 4:], meaning[:, 3:4], meaning[:, :3]], 1)


def _entailment(meaning: Tensor, label: Tensor, noise: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """What follows says less: a kind for a noun, no adjective. What does not follow says something else in one part."""
    many, noun, adjective, verb = meaning[:, 0::4], meaning[:, 1::4], meaning[:, 2::4], meaning[:, 3:4]
    noun = torch.where(noise[:, :2] < 0.5, kind(noun), noun)
    follows = _joined(many, noun, adjective * (noise[:, 2:4] < 0.5), verb)
    part = parts[(noise[:, 4] * len(parts)).long()]
    other = _changed(_joined(many, noun, adjective, verb), part, noise[:, 5])  # another adjective than there was
    other = torch.where(torch.arange(7, device=meaning.device) == part[:, None], other, follows)
    neither = label == 2
    second = torch.where(neither[:, None], other, follows)
    denied = (label == 1) | (neither & (noise[:, 6] < 0.5))
    return words(meaning, torch.zeros_like(neither)), words(second, noise[:, 7] < 0.5, NOT * denied)


def _paraphrase(meaning: Tensor, label: Tensor, noise: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """The same meaning in either voice; or with one part another one, or with the roles exchanged."""
    turned = _exchanged(meaning)
    exchange = (noise[:, 0] < 0.25) & (turned != meaning).any(1)
    other = _changed(meaning, parts[(noise[:, 1] * len(parts)).long()], noise[:, 2])
    other = torch.where(exchange[:, None], turned, other)
    second = torch.where((label == 1)[:, None], meaning, other)
    return words(meaning, noise[:, 3] < 0.5), words(second, noise[:, 4] < 0.5)


def _acceptability(meaning: Tensor, label: Tensor, noise: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """A sentence, and the same one with an article, a noun, the auxiliary or the verb's form that does not agree."""
    passive = noise[:, 0] < 0.5
    right, other_voice = words(meaning, passive), words(meaning, ~passive)
    turned = words(_joined(1 - meaning[:, 0::4], meaning[:, 1::4], meaning[:, 2::4], meaning[:, 3:4]), passive)
    turned = torch.cat([turned[:, :6], other_voice[:, 6:7], turned[:, 7:]], 1)
    place = parts[(noise[:, 1] * len(parts)).long()]
    wrong = torch.where(torch.arange(PLACES, device=meaning.device) == place[:, None], turned, right)
    second = (label == 1)[:, None]
    return torch.where(second, wrong, right), torch.where(second, right, wrong)


def _answer(meaning: Tensor, label: Tensor, noise: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """A question for either role and a sentence that answers it, or one with another deed or another known role.

    No adjective is another one there: who asks for what is done to a cat is answered by what is done to a small cat.
    """
    passive, half = noise[:, 0] < 0.5, len(parts) // 2
    asked = question(words(meaning, passive))
    other = _changed(meaning, parts[(noise[:, 1] * half).long() + half * passive], noise[:, 2])
    exchange = (noise[:, 3] < 0.25) & (meaning[:, 1] != meaning[:, 5])
    other = torch.where(exchange[:, None], _exchanged(meaning), other)
    return asked, words(torch.where((label == 1)[:, None], meaning, other), noise[:, 4] < 0.5)


def _relatedness(meaning: Tensor, label: Tensor, noise: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """As many of who acts, the deed, who is acted on and all else are the same as the label says; voices are any."""
    order, other = noise[:, :4].argsort(dim=1, stable=True).argsort(dim=1), noise[:, 4:8]
    changes = order >= label[:, None]  # (B, 4) each of the four with the same chance
    rest = parts[(noise[:, 8] * len(parts)).long()]
    second = meaning
    for place, part in enumerate((1, 3, 5)):
        changed = _changed(second, torch.full_like(label, part), other[:, place])
        second = torch.where(changes[:, place, None], changed, second)
    second = torch.where(changes[:, 3, None], _changed(second, rest, other[:, 3]), second)
    return words(meaning, noise[:, 9] < 0.5), words(second, noise[:, 10] < 0.5)
