"""What an agent sees in pictures: saliency, classes, filters, dreams and styles."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...neural_blocks.representation.inspection import (
    activation_image,
    deep_dream_step,
    guided_backprop,
    saliency,
    transfer_style,
)
from ...neural_blocks.robustness.adversarial import pgd
from .sheet import Sheet, grey, signed
from .subject import Subject, Unfit

SHOWN = 6  # pictures in a row
MOST_CLASSES, MOST_FILTERS = 12, 32
CLIMB, DREAM = 60, 20  # steps
RADII = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)  # of attacks, as a share of the pictures' range
ATTACK_STEPS = 20


def draw_saliency(subject: Subject) -> Sheet:
    """Pictures, how much each pixel moves the action's output, and the guided gradient."""
    images, rows = _some(subject)
    model = subject.of_images(rows)
    with torch.no_grad():
        outputs = model(images)
    if not subject.discrete:
        plain, model = model, lambda x: subject.answers(plain(x)).unsqueeze(1)
        outputs = outputs[:, :1]
    labels = outputs.argmax(1)
    sheet = Sheet("Which pixels the answer hangs on")
    captions = [f"action {label}" for label in labels.tolist()] if subject.discrete else None
    sheet.row("what it saw", [grey(one) for one in images], captions)
    sheet.row("|gradient|", [_scaled(one) for one in saliency(model, images, labels)])
    sheet.row("guided backpropagation", [signed(one.mean(0)) for one in guided_backprop(model, images, labels)])
    return sheet


def draw_classes(subject: Subject) -> Sheet:
    """For each action the picture that speaks for it most."""
    if not subject.discrete:
        raise Unfit("its actions are not classes")
    images = subject.images()
    count = min(int(subject.agent.action_space.n), MOST_CLASSES)  # type: ignore[attr-defined]
    model = subject.of_images(torch.zeros(count, dtype=torch.int64))
    labels = torch.arange(count)
    beginning = images.mean(0, keepdim=True).expand(count, -1, -1, -1)
    found = activation_image(lambda x: model(x).log_softmax(1).gather(1, labels[:, None])[:, 0], beginning, CLIMB)
    with torch.no_grad():
        share = model(found).softmax(1).gather(1, labels[:, None])[:, 0]
    sheet = Sheet("The picture that speaks most for each action")
    for first in range(0, count, SHOWN):
        some = range(first, min(first + SHOWN, count))
        sheet.row("", [grey(found[k]) for k in some], [f"action {k}: {share[k]:.0%}" for k in some])
    return sheet


def draw_attacks(subject: Subject) -> Sheet:
    """Pictures, and the smallest changes found that turn the answer, into any other and into the next one."""
    if not subject.discrete:
        raise Unfit("its actions are not classes")
    images, rows = _some(subject)
    model = subject.of_images(rows)
    with torch.no_grad():
        own = model(images).argmax(1)
    count = int(subject.agent.action_space.n)  # type: ignore[attr-defined]
    sheet = Sheet("The smallest changes that turn its answers, by projected gradient in the maximum norm")
    sheet.row("what it saw", [grey(one) for one in images], [f"action {label}" for label in own.tolist()])
    for name, wanted in (("another answer", None), ("the answer one higher", (own + 1) % count)):
        moved, radius, answer = smallest_attacks(model, images, own, wanted)
        told = [
            f"{there}, within {far:g}" if math.isfinite(far) else "none within 0.5"
            for there, far in zip(answer.tolist(), radius.tolist(), strict=True)
        ]
        sheet.row(name, [grey(one) for one in moved], told)
        sheet.row("what was changed", [signed(one.mean(0)) for one in moved - images])
    return sheet


def smallest_attacks(
    model: Callable[[Tensor], Tensor], images: Tensor, own: Tensor, wanted: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The first of `RADII` within which projected gradient turns each answer.

    Args:
        model: images (N, C, H, W) to outputs (N, K).
        images: in [0, 1] or [-1, 1].
        own: (N,) its answers to them.
        wanted: (N,) the answers to be had; None for any other.

    Returns:
        The changed images, each one's radius (N,), infinite where none is found, and the answers to them (N,).
    """
    lowest = -1.0 if images.min() < 0 else 0.0
    moved, radius = images.clone(), torch.full((len(images),), math.inf)
    labels = own if wanted is None else wanted
    for share in RADII:
        reach = share * (1 - lowest)
        settings = {"step_size": 2.5 * reach / ATTACK_STEPS, "steps": ATTACK_STEPS, "targeted": wanted is not None}
        found = pgd(model, images, labels, reach, bounds=(lowest, 1.0), **settings)  # type: ignore[arg-type]
        with torch.no_grad():
            answer = model(found).argmax(1)
        fresh = (answer != own if wanted is None else answer == wanted) & radius.isinf()
        moved[fresh], radius[fresh] = found[fresh], share
    with torch.no_grad():
        return moved, radius, model(moved).argmax(1)


def draw_filters(subject: Subject) -> Sheet:
    """The weights of the first layer that looks at the picture."""
    shape = subject.image().layout.shape
    layers = ((name, _filters(layer, shape)) for name, layer in subject.network.named_modules())
    name, weight = next(((name, found) for name, found in layers if found is not None), ("", None))
    if weight is None:
        raise Unfit("no layer looks at the picture alone")
    sheet = Sheet(f"Filters of {name}, {min(len(weight), MOST_FILTERS)} of {len(weight)}")
    for first in range(0, min(len(weight), MOST_FILTERS), 8):
        sheet.row("", [signed(one) for one in weight[first : first + 8]])
    return sheet


def _filters(layer: nn.Module, shape: tuple[int, int, int]) -> Tensor | None:
    """The weights of a convolution, or of a linear layer on pictures of that shape (C, H, W), as (N, H, W)."""
    if isinstance(layer, nn.Conv2d):
        return layer.weight.detach().flatten(0, 1)
    if isinstance(layer, nn.Linear) and layer.in_features == math.prod(shape):
        return layer.weight.detach().view(-1, *shape).flatten(0, 1)
    return None


def draw_dream(subject: Subject) -> Sheet:
    """Pictures that are made to excite the encoder more and more."""
    images, rows = _some(subject)
    deep = _last_features(subject, rows)
    sheet, dream = Sheet("Deep dream: the picture excites the encoder more and more"), images
    sheet.row("what it saw", [grey(one) for one in images])
    for step in range(1, DREAM + 1):
        dream = deep_dream_step(deep, dream, 0.02).clamp(0, 1)
        if step % (DREAM // 2) == 0:
            sheet.row(f"after {step} steps", [grey(one) for one in dream])
    return sheet


def draw_style(subject: Subject) -> Sheet:
    """Pictures redrawn in another one's style, as the agent's convolutions see it."""
    layers = [layer for layer in subject.network.modules() if isinstance(layer, nn.Conv2d)]
    if not layers:
        raise Unfit("it has no convolutions, whose features would be a style")
    images, rows = _some(subject)

    def extract(x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        hooks = [layer.register_forward_hook(lambda _, __, output: found.append(output)) for layer in layers]
        try:
            subject.of_images(rows[: len(x)])(x)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    style = images.roll(1, 0)
    drawn = transfer_style(extract, images, style, style_weight=10.0, steps=80)
    sheet = Sheet("Style transfer: content redrawn until its features go together as the style's do")
    for name, pictures in (("content", images), ("style", style), ("both", drawn)):
        sheet.row(name, [grey(one) for one in pictures])
    return sheet


def _some(subject: Subject) -> tuple[Tensor, Tensor]:
    """Pictures (N, C, H, W) and whose they are (N,), of as many different actions as there are at first."""
    images = subject.images()
    rows = torch.arange(len(images))
    if subject.discrete:
        with torch.no_grad():
            answer = subject.of_images(rows)(images).argmax(1)
        firsts = [int((answer == label).nonzero()[0]) for label in answer.unique()]
        rows = torch.tensor([*firsts, *(row for row in rows.tolist() if row not in firsts)])
    rows = rows[:SHOWN]
    return images[rows], rows


def _last_features(subject: Subject, rows: Tensor) -> Callable[[Tensor], Tensor]:
    """What the encoder makes of the pictures, (N, F)."""
    model = subject.of_images(rows)

    def features(x: Tensor) -> Tensor:
        found: list[Tensor] = []
        hook = subject.network.encoder.register_forward_hook(lambda _, __, output: found.append(output))
        try:
            model(x)
        finally:
            hook.remove()
        return found[0]

    return features


def _scaled(image: Tensor) -> Tensor:
    """(H, W) from 0 to its largest value as (H, W) in [0, 1]."""
    return image / image.max().clamp(min=1e-12)
