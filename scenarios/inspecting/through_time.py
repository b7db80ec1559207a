"""Where gradients go: to past inputs, by delay, and to the network's layers by depth; and where attention looks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...envs.core.tree import tree_map
from ...envs.drawing.canvas import ACCENT, INK, MUTED, Canvas
from ...envs.drawing.wording import number
from ...neural_blocks.sequence.attention import recorded_attention
from .sheet import WIDTH, Sheet
from .subject import Subject, Unfit

EPISODES, MOST_HEADS, MOST_BLOCKS, MOST_LAYERS = 12, 8, 3, 24
DECADES = 6  # that a chart of norms spans at most


def past_gradients(subject: Subject) -> Tensor:
    """How much each past input moves the last answer, (T, B): the norm of its gradient by the encoder's features.

    Raises:
        Unfit: the network remembers nothing, or episodes have one step.
    """
    if subject.network.memory is None:
        raise Unfit("it has no memory")
    steps, rows = subject.start.shape
    if steps < 2:
        raise Unfit("its episodes have a single step")
    with subject.encoded() as encoded:
        outputs = subject.outputs(subject.observation, subject.memory[0], subject.start)
        subject.answers(outputs[-1]).sum().backward(inputs=encoded)
    gradient = encoded[0].grad
    assert gradient is not None
    return gradient.view(steps, rows, -1).norm(dim=-1)


def draw_memory(subject: Subject) -> Sheet:
    """A line for each episode: which past input the last answer rests on."""
    norms = past_gradients(subject)
    share = norms / norms.amax(0).clamp(min=1e-30)
    sheet = Sheet("Which past input the last answer rests on", cell=420)
    sheet.row(
        f"an episode a line, time from left to right over {len(norms)} steps; black: the largest gradient",
        [1 - share[:, :EPISODES].T.repeat_interleave(max(1, len(norms) // EPISODES), 0)],
    )
    return sheet


def draw_delay(subject: Subject) -> Canvas:
    """Mean norm of the last answer's gradient by how long ago an input was."""
    norms = past_gradients(subject)
    within = subject.start.flip(0).cumsum(0).flip(0) - subject.start.int() == 0  # of the last step's episode
    found = [(delay, norms[-1 - delay][within[-1 - delay]]) for delay in range(len(norms))]
    known = [(delay, float(values.mean())) for delay, values in found if len(values)]
    title = "Gradient of the last answer by how long ago an input was"
    return _norms(title, [str(delay) for delay, _ in known], [value for _, value in known], "steps ago")


def draw_depth(subject: Subject) -> Canvas:
    """Root mean square of the answers' gradient for each layer's weights, in the order of the network."""
    steps = slice(0, 1 if subject.network.memory is None else None)
    observation = tree_map(lambda part: part[steps], subject.observation)
    subject.network.zero_grad()
    outputs = subject.outputs(observation, subject.memory[0], subject.start[steps])
    subject.answers(outputs).mean().backward()
    known = {
        name.removesuffix(".weight"): float(one.grad.square().mean().sqrt())
        for name, one in subject.network.named_parameters()
        if one.grad is not None and one.dim() > 1
    }
    subject.network.zero_grad()
    if not known:
        raise Unfit("no weights take part in its answers")
    names = list(known)[:MOST_LAYERS]
    return _norms("Gradient of the answers by layer", names, [known[name] for name in names], "")


def draw_attention(subject: Subject) -> Sheet:
    """Where each head of each attention looks, in the first episode."""
    with torch.no_grad(), recorded_attention(subject.network) as weights:
        observation = tree_map(lambda part: part[:, :1], subject.observation)
        subject.outputs(observation, tuple(part[:1] for part in subject.memory[0]), subject.start[:, :1])
    if not weights or not any(weights.values()):
        raise Unfit("it has no attention")
    sheet = Sheet("Where attention looks: queries from top to bottom, places from left to right, black: most")
    for name, calls in [(name, calls) for name, calls in weights.items() if calls][:MOST_BLOCKS]:
        heads = calls[-1][0]  # (h, T, S)
        if subject.network.memory is not None and name.startswith("memory"):
            heads = heads[..., -heads.shape[1] :]  # what stood in the memory before the episode is nothing
        heads = heads[:MOST_HEADS]
        sheet.row(
            name, [1 - head / head.max().clamp(min=1e-12) for head in heads], [f"head {k}" for k in range(len(heads))]
        )
    return sheet


def _norms(title: str, names: list[str], values: list[float], across: str) -> Canvas:
    """Bars on a logarithmic scale, with their names below or, where they are long, beside."""
    logs = [math.log10(value) if value > 0 else math.nan for value in values]  # a gap where no gradient comes
    known = [log for log in logs if not math.isnan(log)]
    if not known:
        raise Unfit("its answers have no gradient")
    high = math.ceil(max(known) + 1e-9)
    low = max(math.floor(min(known)), high - DECADES)
    if across:
        canvas = Canvas(WIDTH, 520)
        canvas.text(title, (20, 16), 24)
        box = canvas.axes(
            (20, 60, WIDTH - 60, 440),
            (0, len(values) - 1),
            (low, high),
            (across, "log10 of the norm"),
            (2, high - low + 1),
        )
        canvas.curve(np.clip(logs, low, high), box, ACCENT, low, high, width=3, framed=False)
        return canvas
    canvas = Canvas(WIDTH, 90 + 28 * len(values))
    canvas.text(title, (20, 16), 24)
    for row, (name, value, log) in enumerate(zip(names, values, logs, strict=True)):
        y, length = 64 + 28 * row, (max(log if value > 0 else low, low) - low) / max(high - low, 1) * 560
        canvas.text(name, (20, y), 16, INK, max_width=360)
        canvas.fill((400, y + 2, max(2, round(length)), 16), ACCENT)
        told = number(float(f"{value:.3g}")) if value > 1e-5 or value == 0 else f"{value:.1e}"
        canvas.text(told, (410 + round(length), y), 16, MUTED)
    return canvas
