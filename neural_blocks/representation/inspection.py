"""Looking into a network: what in the input matters to it, and images made by its features.

A model is any callable from (B, C, H, W) images to (B, K) logits; an extractor one from images to a list of feature
maps (B, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import InvalidInput

Model = Callable[[Tensor], Tensor]
Extractor = Callable[[Tensor], Sequence[Tensor]]


def saliency(model: Model, images: Tensor, labels: Tensor) -> Tensor:
    """How much each pixel moves its class's logit: |gradient|, the largest over channels (Simonyan et al., 2014).

    Args:
        model: (B, C, H, W) to (B, K) logits.
        images: (B, C, H, W).
        labels: (B,) int64.

    Returns:
        (B, H, W), at least 0.

    Raises:
        InvalidInput: images or labels of the wrong shape.
    """
    return _logit_gradient("saliency", model, images, labels).abs().amax(1)


def guided_backprop(model: Model, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the class's logit in which every ReLU lets only positive gradients pass (Springenberg et al., 2015).

    It reaches every `torch.relu`, `F.relu` and `nn.ReLU` inside the model. Arguments and errors as in `saliency`.

    Returns:
        (B, C, H, W).
    """

    def guided(inputs: Tensor) -> Tensor:
        with _GuidedReLU():
            return model(inputs)

    return _logit_gradient("guided_backprop", guided, images, labels)


def deep_dream_step(features: Model, images: Tensor, step_size: float = 0.01) -> Tensor:
    """One step that makes the image excite the features more (Mordvintsev et al., 2015).

    Args:
        features: (B, C, H, W) to features (B, ...), whose squared length rises.
        images: (B, C, H, W).
        step_size: mean change of a pixel.

    Returns:
        (B, C, H, W), not clamped.
    """
    gradient = _gradient(lambda x: features(x).square().sum() / 2, images)
    scale = gradient.abs().mean((1, 2, 3), keepdim=True)
    return images + step_size * gradient / scale.clamp(min=torch.finfo(scale.dtype).tiny)


def activation_image(
    score: Model,
    images: Tensor,
    steps: int = 60,
    *,
    learning_rate: float = 0.05,
    decay: float = 0.01,
) -> Tensor:
    """Images that a score answers to most: ascent on the score less a penalty on bright pixels (Simonyan et al., 2014).

    Args:
        score: (B, C, H, W) to (B,), such as the logarithm of a class's probability.
        images: (B, C, H, W) in [0, 1], where the ascent starts.
        steps: of Adam.
        learning_rate: Adam's.
        decay: the weight of the squared pixels' sum.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    image = images.clone()
    optimiser = torch.optim.Adam([image], learning_rate)
    for _ in range(steps):
        image.grad = _gradient(lambda x: decay * x.square().sum() - score(x).sum(), image)
        optimiser.step()
        image.clamp_(0, 1)
    return image


def gram_matrix(features: Tensor) -> Tensor:
    """Mean product of each two channels over the image, which says what is in it but not where (Gatys et al., 2016).

    (B, C, H, W) to (B, C, C).

    Raises:
        InvalidInput: features that are not (B, C, H, W).
    """
    if features.ndim != 4:
        raise InvalidInput(f"gram_matrix: features must have shape (B, C, H, W); got {tuple(features.shape)}")
    flat = features.flatten(2)  # (B, C, H W)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def style_loss(features: Sequence[Tensor], style: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of Gram matrices, summed over layers (Gatys et al., 2016).

    Args:
        features: the image's maps, (B, C, H, W) each.
        style: the style image's, of the same channels but any height and width.

    Raises:
        InvalidInput: lists of different lengths or maps of different channels.
    """
    if [part.shape[:2] for part in features] != [part.shape[:2] for part in style]:
        raise InvalidInput(
            "style_loss: both must have the same layers and channels; "
            f"got {[tuple(part.shape) for part in features]} and {[tuple(part.shape) for part in style]}"
        )
    pairs = zip(features, style, strict=True)
    return torch.stack([F.mse_loss(gram_matrix(image), gram_matrix(wanted)) for image, wanted in pairs]).sum()


def transfer_style(
    extractor: Extractor,
    content: Tensor,
    style: Tensor,
    *,
    style_weight: float = 1.0,
    steps: int = 100,
    learning_rate: float = 0.05,
) -> Tensor:
    """The content image redrawn, by Adam from itself, until its features' Gram matrices are those of the style image.

    The last layer's features keep the content, every layer's Gram matrix the style (Gatys et al., 2016).

    Args:
        extractor: images to a list of feature maps.
        content: (B, C, H, W) in [0, 1].
        style: (B, C, H', W').
        style_weight: of the style loss against the content loss.
        steps: optimiser steps.
        learning_rate: Adam's.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    with torch.no_grad():
        wanted, style_features = extractor(content)[-1], extractor(style)

    def objective(x: Tensor) -> Tensor:
        features = extractor(x)
        return F.mse_loss(features[-1], wanted) + style_weight * style_loss(features, style_features)

    image = content.clone()
    optimiser = torch.optim.Adam([image], learning_rate)
    for _ in range(steps):
        image.grad = _gradient(objective, image)
        optimiser.step()
        image.clamp_(0, 1)
    return image


class _Guided(torch.autograd.Function):
    """ReLU whose backward pass lets positive gradients of active units pass."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (output > 0)


class _GuidedReLU(TorchFunctionMode):
    """Within it, every ReLU is a guided one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_):
            return _Guided.apply(args[0])
        return func(*args, **(kwargs or {}))


def _logit_gradient(name: str, model: Model, images: Tensor, labels: Tensor) -> Tensor:
    if images.ndim != 4 or labels.shape != images.shape[:1]:
        raise InvalidInput(
            f"{name}: images must have shape (B, C, H, W) and labels (B,); "
            f"got {tuple(images.shape)} and {tuple(labels.shape)}"
        )
    return _gradient(lambda x: model(x).gather(1, labels.unsqueeze(1)).sum(), images)


def _gradient(objective: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.no_grad():  # no second graph through the model's parameters
        return torch.func.grad(objective)(x)
