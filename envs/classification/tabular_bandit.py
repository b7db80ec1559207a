"""TabularBandit: a row of measurements, a class to name."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice
from ..core.splits import OUTSIDE_TEST, SPLITS, split_rows
from ..drawing.canvas import COLOURS, INK, MARKS, Canvas
from .bandit import ClassificationBandit
from .sources.tables import TABLES, load_table


class TabularBandit(ClassificationBandit):
    """Name the class of a table's row.

    Classification of a table's rows as a contextual bandit.

    Isolates the shape of a decision boundary: linear enough (iris, wine, breast-cancer, blobs, prototypes) or not at
    all (xor, moons, spirals).

    Observation: (D,) float32, the row's features, each standardised with the mean and deviation of the rows outside the
        test split.
    Action: Discrete(K), the class.
    Reward: 1 for the right class, 0 for a wrong one, so the mean return is the accuracy.
    Episode: terminates after one step.
    Metrics: accuracy.
    Expert: the label, return 1. A random guess returns about 1 / K.
    Source: Fisher (1936), Aeberhard and Forina (1991), Street et al. (1993), by scikit-learn; the rest are drawn here.

    Args:
        dataset: "iris" (D 4, K 3), "wine" (13, 3), "breast-cancer" (30, 2), "xor" (2, 2), "blobs" (2, 5),
            "moons" (2, 2), "spirals" (2, 3), or "prototypes" (6, 3), three random points with a little noise.
        split: "train", "validation" or "test", stratified, 70, 10 and 20 % of the rows, the same for everyone.

    Raises:
        InvalidInput: an unknown data set or split.
    """

    variants = tuple(
        {"dataset": dataset, "split": split}
        for dataset in ("iris", "wine", "breast-cancer", "xor", "blobs", "moons", "spirals", "prototypes")
        for split in ("train", "test")
        if (dataset, split) != ("iris", "train")
    )

    def __init__(self, *, dataset: str = "iris", split: str = "train") -> None:
        choice("TabularBandit: dataset", dataset, TABLES)
        choice("TabularBandit: split", split, SPLITS)
        features, labels, class_names, self.feature_names = load_table(dataset)
        known = features[split_rows(labels, OUTSIDE_TEST)]
        features = (features - known.mean(0)) / known.std(0)
        rows = split_rows(labels, split)
        inputs = torch.from_numpy(features[rows].astype(np.float32))
        space = spaces.Box(-np.inf, np.inf, (features.shape[1],), np.float32)
        super().__init__(inputs, torch.from_numpy(labels[rows]), class_names, space)

    def draw_input(self, example: Tensor, area: tuple[int, int, int, int], canvas: Canvas) -> None:
        """Two features: a point of the plane, for spectators among all others by class. More: one bar a feature."""
        x, y, width, height = area
        if len(example) > 2:
            told = f"its {len(example)} features, in standard deviations from the mean"
            canvas.text(told, (x + width // 2, y), size=22, anchor="midtop")
            names = self.feature_names if len(example) <= 4 else None
            canvas.bars(example, (x, y + 30, width, height - 30), labels=names)
            return
        span = (-2.6, 2.6)
        plane = canvas.axes((x + 30, y - 10, height + 20, height + 10), span, span, ("x", "y"), (3, 3))
        classes = range(len(self.class_names)) if canvas.spectator else []
        for k in classes:
            mark, colour = MARKS[k % len(MARKS)], [COLOURS[k % len(COLOURS)]]
            points = self.inputs[self.labels == k]
            canvas.points(points, plane, colour, 2 if mark in ("dot", "square") else 3, (*span, *span), mark)
            key = (x + width - 60, y + 20 + 34 * k)
            canvas.points([[0.0, 0.0]], (*key, 24, 24), colour, 6, (-1, 1, -1, 1), mark)
            canvas.text(str(k), (key[0] + 34, key[1] + 12), size=24, anchor="midleft")
        canvas.points(example[None].clamp(*span), plane, [INK], 8, (*span, *span))
