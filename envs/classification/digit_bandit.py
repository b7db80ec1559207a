"""DigitBandit: look at an image, name its class, learn only whether the guess was right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice as one_of
from ..checks.options import flag as true_or_false
from ..checks.options import integer
from ..core.splits import SPLITS, few_of_each
from ..core.task import Observation, Step
from ..core.tree import select
from ..drawing.canvas import MUTED, Canvas
from ..frozen.likeness import likeness
from .bandit import BanditState, ClassificationBandit
from .sources.domains import DOMAINS, TARGETS, by_ink, in_target, inked
from .sources.images import IMAGE_SETS, load_images

LAST_CHOICE = 9_999  # of few images


class DigitBandit(ClassificationBandit):
    """Name the class of an image from right-or-wrong alone.

    Image classification as a contextual bandit.

    Isolates generalisation from bandit feedback: one image, one guess, and no hint what the right class was. With
    domains, adaptation: what was learned on one is asked about another.

    Observation: (C, H, W) uint8, one image; (1, 8, 8) for the default data set. With `flag` a Dict of ``image`` and
        ``domain``, Discrete(2), 0 for the source and 1 for the target.
    Action: Discrete(10), the class.
    Reward: 1 for the right class, 0 for a wrong one, so the mean return is the accuracy.
    Episode: terminates after one step.
    Metrics: accuracy; with domain "mixed" also source and target, the accuracy in each. With target "inked" also
        weight, the importance weight of the image (how much likelier it is in the target domain), and weighted, the
        weight if the class is right and 0 if not: on the source its mean estimates the accuracy on the target.
    Expert: the label, return 1. A random guess returns about 0.1.
    Source: the MNIST bandit of bsuite (Osband et al., 2020); digits of Alpaydin and Kaynak (1998); covariate shift and
        importance weights of Shimodaira (2000).

    Args:
        dataset: "digits" (1,797 scikit-learn images of 8 x 8, embedded), or "mnist", "fashion-mnist", "cifar-10",
            fetched once from OpenML.
        split: "train", "validation" or "test". Of the digits 1,257, 180 and 360 images; of the others the published
            test set, and an eighth of the published training set for validation. Stratified, the same for everyone.
        cache: folder of downloaded data sets; None is scikit-learn's own (``~/scikit_learn_data``).
        domain: "source", the images as they are; "target", as `target` says; or "mixed", either as often.
        target: what the target domain is: "inverted", "rotated" by a quarter turn, or "textured" with a striped
            background, see `sources.domains.in_target`; or "inked", a covariate shift: the same images, but that which
            has the r-th least ink of N, from 0, is (2 r + 1) / N times as likely.
        flag: whether the domain is seen.
        rows: images that the training split has, as many of each class as that goes, at least one of each; None for
            all. The other splits are whole.
        choice: which images these are, from 0 to 9,999; each is a choice of its own, the same for everyone.

    Raises:
        InvalidInput: an unknown name, more or fewer rows than there can be, or a data set that is neither cached nor
            reachable.

    Example:
        >>> import palaestra.envs as envs
        >>> env = envs.make_batched("palaestra/DigitBandit-v0", num_envs=4, seed=0)
        >>> env.reset().shape
        torch.Size([4, 1, 8, 8])
    """

    variants = (
        {"split": "test"},
        {"domain": "target", "target": "inverted", "split": "test"},
        {"domain": "target", "target": "rotated", "split": "test"},
        {"domain": "mixed", "target": "textured", "flag": True},
        {"domain": "mixed", "target": "inked"},
        {"rows": 100, "split": "test"},
    )

    order: Tensor
    weights: Tensor

    def __init__(
        self,
        *,
        dataset: str = "digits",
        split: str = "train",
        cache: str | None = None,
        domain: str = "source",
        target: str = "inverted",
        flag: bool = False,
        rows: int | None = None,
        choice: int = 0,
    ) -> None:
        one_of("DigitBandit: dataset", dataset, IMAGE_SETS)
        one_of("DigitBandit: split", split, SPLITS)
        one_of("DigitBandit: domain", domain, DOMAINS)
        one_of("DigitBandit: target", target, TARGETS)
        told = true_or_false("DigitBandit: flag", flag)
        integer("DigitBandit: choice", choice, 0, LAST_CHOICE)
        images, labels, class_names = load_images(dataset, split, cache)
        if rows is not None and split == "train":
            integer("DigitBandit: rows", rows, len(class_names), len(labels))
            few = few_of_each(labels, rows, choice)
            images, labels = images[few], labels[few]
        pixels, by_weight = torch.from_numpy(images), target == "inked"
        shown = _shown(pixels, domain, target)
        image = spaces.Box(0, 255, shown[-1].shape[1:], np.uint8)
        space = spaces.Dict({"image": image, "domain": spaces.Discrete(2)}) if told else image
        classes = torch.from_numpy(labels).repeat(len(shown))
        super().__init__(torch.cat(shown), classes, class_names, space)
        self.domain, self.told, self.inked, self.count = domain, told, by_weight, len(pixels)
        self.dataset, self.split, self.cache, self.target = dataset, split, cache, target
        self.reset_noise = 2 if domain == "mixed" else 1
        order, weights = by_ink(pixels if by_weight else pixels[:0])
        self.register_buffer("order", order, persistent=False)  # (N,) rows by their ink, or none
        self.register_buffer("weights", weights.repeat(len(shown)), persistent=False)

    def reset(self, noise: Tensor) -> BanditState:
        """An image drawn uniformly; of the target domain "inked" by its ink."""
        row = (noise[:, 0] * self.count).long()  # (B,)
        if self.domain != "source":
            other = inked(noise[:, 0], self.order) if self.inked else row
            row = torch.where(noise[:, 1] < 0.5, row, self.count + other) if self.domain == "mixed" else other
        return BanditState(row, torch.full_like(row, -1))

    def step(self, state: BanditState, action: Tensor, noise: Tensor) -> Step[BanditState]:
        """Judges the guess, by domain and by weight where there are such."""
        step = super().step(state, action, noise)
        metrics: dict[str, Tensor] = {}
        if self.domain == "mixed":
            second = state.index >= self.count
            metrics |= {"source": step.reward.masked_fill(second, torch.nan)}
            metrics |= {"target": step.reward.masked_fill(~second, torch.nan)}
        if self.inked:
            weight = self.weights[state.index]
            metrics |= {"weight": weight, "weighted": weight * step.reward}
        return replace(step, metrics=step.metrics | metrics) if metrics else step

    def observe(self, state: BanditState) -> Observation:
        """The image, (B, C, H, W), and if it is seen the domain, (B,)."""
        image = select(self.inputs, state.index)
        if not self.told:
            return image
        first = {"source": len(self.labels), "target": 0, "mixed": self.count}[self.domain]  # row of the target domain
        return {"image": image, "domain": (state.index >= first).long()}

    def examples(self, split: str | None = None) -> tuple[Tensor, Tensor]:
        """The images as they are shown, and their classes."""
        images, labels, _ = load_images(self.dataset, split or self.split, self.cache)
        shown = _shown(torch.from_numpy(images), self.domain, self.target)
        return torch.cat(shown), torch.from_numpy(labels).repeat(len(shown))

    def measured(self, made: Tensor) -> dict[str, float]:
        """The likeness of made digits to the split's, for agents that make such; nothing for other data sets."""
        return likeness(made, self.examples()[0]) if self.dataset == "digits" else {}

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The image, its domain if that is seen, and the classes to choose from."""
        if not self.told:
            return super().draw_seen(observation, canvas)
        super().draw_seen(observation["image"], canvas)
        told = f"from the {DOMAINS[int(observation['domain'])]} domain"
        canvas.text(told, (canvas.width // 2, 353), 20, MUTED, "center")

    def draw_input(self, example: Tensor, area: tuple[int, int, int, int], canvas: Canvas) -> None:
        """The image, each pixel a square."""
        canvas.image(example, area)


def _shown(images: Tensor, domain: str, target: str) -> list[Tensor]:
    """Images (N, C, H, W) as each domain that there is shows them."""
    shown = [images] if domain != "target" else []
    return shown + ([in_target(images, target)] if domain != "source" else [])
