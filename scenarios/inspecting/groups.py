"""How an agent parts what it sees: groups of features without labels, and its answers over a plane of two numbers."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import torch
from numpy.typing import NDArray

from ...envs.drawing.canvas import COLOURS, INK, MUTED, Canvas
from .features import features, sign
from .sheet import WIDTH
from .subject import Subject, Unfit

SIDE = 120  # cells along the plane
FEWEST = 0.02  # share of the plane that a region takes before it is named


def clustered(points: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(N,) the group of each point (N, F), by k-means (Lloyd, 1982) on standardised features."""
    from sklearn.cluster import KMeans

    spread = points.std(0)
    standard = (points - points.mean(0)) / np.where(spread > 0, spread, 1)
    found: NDArray[np.int64] = KMeans(count, n_init=4, random_state=0).fit_predict(standard).astype(np.int64)
    return found


def dense(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) the cluster of each point (N, F) by density (Campello et al., 2013), of any shape; -1 for points in none."""
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=max(5, len(points) // 40), copy=True).fit_predict(points)
    return np.asarray(found, np.int64)


def draw_groups(subject: Subject) -> Canvas:
    """What the heads see, by as many groups as there are actions, which k-means finds, beside the actions.

    Both k-means and clusters by density are held to the actions by the adjusted Rand index (Hubert and Arabie, 1985).
    """
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_rand_score

    points, labels = features(subject)
    kinds = np.unique(labels)
    if not subject.discrete:
        raise Unfit("its actions are not classes, beside which groups could be held")
    if len(kinds) < 2 or points.shape[1] < 2 or len(points) < 10:
        raise Unfit(f"{len(points)} steps with {len(kinds)} actions leave nothing to be grouped")
    groups = clustered(points, len(kinds))
    by_density = dense(points)
    within = by_density >= 0
    flat = PCA(2, random_state=0).fit_transform(points)
    canvas = Canvas(WIDTH, 708)
    canvas.text(
        f"What the heads see, by action and in {len(kinds)} groups that k-means finds without them", (20, 16), 24
    )
    canvas.text(
        f"adjusted Rand index {adjusted_rand_score(labels, groups):.2f}: 1 where groups are the actions, 0 by chance",
        (20, 48),
        18,
        MUTED,
    )
    agreement = adjusted_rand_score(labels[within], by_density[within])
    canvas.text(
        f"clusters by density: {by_density.max() + 1}, {1 - within.mean():.0%} of the points in none, index of the "
        f"others {agreement:.2f}",
        (20, 74),
        18,
        MUTED,
    )
    low, high = flat.min(0), flat.max(0)
    margin = 0.05 * (high - low) + 1e-9
    limits = (low[0] - margin[0], high[0] + margin[0], low[1] - margin[1], high[1] + margin[1])
    for left, name, kind_of in ((20, "action", labels), (560, "group", groups)):
        canvas.text(name, (left, 108), 18, INK)
        found = np.unique(kind_of)
        for kind in found:
            colour, mark = sign(kind)
            canvas.points(flat[kind_of == kind], (left, 132, 510, 510), [colour], 4, limits, mark)
        for place, kind in enumerate(found[:9]):
            colour, mark = sign(kind)
            canvas.points([[0.5, 0.5]], (left + 54 * place, 658, 20, 20), [colour], 5, (0, 1, 0, 1), mark)
            canvas.text(str(kind), (left + 25 + 54 * place, 658), 18, INK)
    return canvas


def answers_over(subject: Subject, low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.int64]:
    """(SIDE, SIDE) the greedy action at every place of the plane, the second number from top to bottom falling.

    Args:
        subject: whose observations are two numbers.
        low: (2,) where the plane begins.
        high: (2,) where it ends.
    """
    across = torch.linspace(float(low[0]), float(high[0]), SIDE)
    upwards = torch.linspace(float(high[1]), float(low[1]), SIDE)
    places = torch.cartesian_prod(upwards, across).flip(1).unsqueeze(0)  # (1, SIDE^2, 2)
    count = places.shape[1]
    memory = subject.agent.initial_memory(count)
    with torch.no_grad():
        outputs = subject.outputs(places, memory, torch.ones(1, count, dtype=torch.bool))
    found: NDArray[np.int64] = outputs[0].argmax(-1).view(SIDE, SIDE).numpy()
    return found


def draw_plane(subject: Subject) -> Canvas:
    """The greedy action over the plane of the two numbers that it sees, and what it saw."""
    space = subject.agent.observation_space
    if not isinstance(space, spaces.Box) or space.shape != (2,) or not subject.discrete:
        raise Unfit("it does not answer two numbers with a class")
    seen = subject.observation[0].numpy()  # type: ignore[index]
    low, high = seen.min(0), seen.max(0)
    low, high = low - 0.1 * (high - low) - 1e-6, high + 0.1 * (high - low) + 1e-6
    answers = answers_over(subject, low, high)
    canvas = Canvas(WIDTH, 720)
    canvas.text("Its answers over the plane of what it sees", (20, 16), 24)
    box = canvas.axes(
        (60, 50, 640, 640), (low[0], high[0]), (low[1], high[1]), ("first number", "second number"), (3, 3)
    )
    palette = torch.tensor(COLOURS, dtype=torch.float32) / 255
    pale = 1 - 0.45 * (1 - palette[torch.from_numpy(answers) % len(COLOURS)])  # (SIDE, SIDE, 3)
    x, y, width, height = (round(edge) for edge in box)
    canvas.image(pale.permute(2, 0, 1).repeat_interleave(6, 1).repeat_interleave(6, 2), (x, y, width, height), None)
    canvas.points(seen, box, [INK], 2, (low[0], high[0], low[1], high[1]), "dot")
    for place, kind in enumerate(np.unique(answers)):
        share = (answers == kind).mean()
        if share >= FEWEST:
            deep = np.argmax(_depth(answers == kind))
            row, column = np.unravel_index(deep, answers.shape)
            at = (x + (int(column) + 0.5) / SIDE * width, y + (int(row) + 0.5) / SIDE * height)
            canvas.text(str(kind), at, 30, INK, "center")
        canvas.fill((740, 70 + 34 * place, 22, 22), COLOURS[kind % len(COLOURS)])
        canvas.text(f"action {kind}: {share:.0%} of the plane", (775, 70 + 34 * place), 18, INK)
    return canvas


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far each cell lies within a region, 0 outside."""
    from scipy.ndimage import distance_transform_edt

    found: NDArray[np.float64] = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return found
