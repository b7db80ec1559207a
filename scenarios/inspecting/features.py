"""The features that an agent decides by, in two dimensions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...envs.drawing.canvas import COLOURS, INK, MUTED, Canvas, Colour
from .sheet import WIDTH
from .subject import Subject, Unfit

MOST = 600  # points
MARKS = ("dot", "ring", "cross", "square", "triangle")


def draw_embedding(subject: Subject) -> Canvas:
    """What the heads see, by principal components and by t-SNE (van der Maaten and Hinton, 2008)."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    points, labels = features(subject)
    if points.shape[1] < 3 or len(points) < 10:
        raise Unfit(f"{len(points)} steps with {points.shape[1]} features leave nothing to be reduced")
    pca = PCA(2, random_state=0).fit(points)
    perplexity = min(30.0, len(points) / 4)
    near = TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(points)
    told = f"principal components: {pca.explained_variance_ratio_.sum():.0%} of the variance"
    canvas = Canvas(WIDTH, 644)
    canvas.text(f"What the heads see: {len(points)} steps of {points.shape[1]} features", (20, 16), 24)
    kinds = np.unique(labels)
    for left, name, flat in ((20, told, pca.transform(points)), (560, f"t-SNE, perplexity {perplexity:g}", near)):
        canvas.text(name, (left, 56), 18, INK, max_width=510)
        low, high = flat.min(0), flat.max(0)
        margin = 0.05 * (high - low) + 1e-9
        limits = (low[0] - margin[0], high[0] + margin[0], low[1] - margin[1], high[1] + margin[1])
        for kind in kinds:
            colour, mark = sign(kind)
            canvas.points(flat[labels == kind], (left, 84, 510, 510), [colour], 4, limits, mark)
    canvas.text("action:" if subject.discrete else "time, in quarters:", (20, 612), 18, MUTED)
    for place, kind in enumerate(kinds[:16]):
        x = 190 + 54 * place
        colour, mark = sign(kind)
        canvas.points([[0.5, 0.5]], (x, 612, 20, 20), [colour], 5, (0, 1, 0, 1), mark)
        canvas.text(str(kind), (x + 25, 612), 18, INK)
    return canvas


def sign(kind: int) -> tuple[Colour, str]:
    """A kind's colour and mark: colour is not the only sign."""
    return COLOURS[kind % len(COLOURS)], MARKS[kind // 2 % len(MARKS)]


def features(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, F), `MOST` at most, evenly over steps and rows, and each one's greedy action or quarter of time."""
    with torch.no_grad():
        found, _ = subject.network.features(subject.observation, subject.memory[0], subject.start)
        outputs = subject.outputs(subject.observation, subject.memory[0], subject.start)
    steps, rows = subject.start.shape
    quarter = (torch.arange(steps) * 4 // steps)[:, None].expand(steps, rows)
    kind: Tensor = outputs.argmax(-1) if subject.discrete else quarter
    chosen = torch.linspace(0, steps * rows - 1, min(MOST, steps * rows)).long()
    return found.flatten(0, 1)[chosen].double().numpy(), kind.flatten()[chosen].numpy()
