"""DigitBandit: look at an image, name its class, learn only whether the guess was right."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice
from ..core.splits import SPLITS
from ..drawing.canvas import Canvas
from .bandit import ClassificationBandit
from .sources.images import IMAGE_SETS, load_images


class DigitBandit(ClassificationBandit):
    """Name the class of an image from right-or-wrong alone.

    Image classification as a contextual bandit.

    Isolates generalisation from bandit feedback: one image, one guess, and no hint what the right class was.

    Observation: (C, H, W) uint8, one image; (1, 8, 8) for the default data set.
    Action: Discrete(10), the class.
    Reward: 1 for the right class, 0 for a wrong one, so the mean return is the accuracy.
    Episode: terminates after one step.
    Metrics: accuracy.
    Expert: the label, return 1. A random guess returns about 0.1.
    Source: the MNIST bandit of bsuite (Osband et al., 2020); digits of Alpaydin and Kaynak (1998).

    Args:
        dataset: "digits" (1,797 scikit-learn images of 8 x 8, embedded), or "mnist", "fashion-mnist", "cifar-10",
            fetched once from OpenML.
        split: "train", "validation" or "test". Of the digits 1,257, 180 and 360 images; of the others the published
            test set, and an eighth of the published training set for validation. Stratified, the same for everyone.
        cache: folder of downloaded data sets; None is scikit-learn's own (``~/scikit_learn_data``).

    Raises:
        InvalidInput: an unknown data set or split, or a data set that is neither cached nor reachable.

    Example:
        >>> import palaestra.envs as envs
        >>> env = envs.make_batched("palaestra/DigitBandit-v0", num_envs=4, seed=0)
        >>> env.reset().shape
        torch.Size([4, 1, 8, 8])
    """

    variants = ({"split": "test"},)

    def __init__(self, *, dataset: str = "digits", split: str = "train", cache: str | None = None) -> None:
        choice("DigitBandit: dataset", dataset, IMAGE_SETS)
        choice("DigitBandit: split", split, SPLITS)
        images, labels, class_names = load_images(dataset, split, cache)
        space = spaces.Box(0, 255, images.shape[1:], np.uint8)
        super().__init__(torch.from_numpy(images), torch.from_numpy(labels), class_names, space)

    def draw_input(self, example: Tensor, area: tuple[int, int, int, int], canvas: Canvas) -> None:
        """The image, each pixel a square."""
        canvas.image(example, area)
