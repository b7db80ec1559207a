"""How well boxes and masks agree with the truth: overlap, average precision, and what is made of counted pixels.

Overlap is intersection over union. Average precision follows the PASCAL protocol (Everingham et al., 2010): proposals
in order of confidence, each right if the object of its class that it overlaps most does so by a threshold and belongs
to no earlier one; then the area under precision over recall, where precision is the best that any higher recall has.
Everything is computed in double precision, or of exact counts in a set order, so that no sum depends on the order in
which a device takes it.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4) of left, top, width and height: (...) float64; 0 for two empty ones."""
    (left, top, wide, high), (x, y, w, h) = first.unbind(-1), second.unbind(-1)
    width = (torch.minimum(left + wide, x + w) - torch.maximum(left, x)).clamp(min=0)
    height = (torch.minimum(top + high, y + h) - torch.maximum(top, y)).clamp(min=0)
    return _share(width * height, wide * high, w * h)


def _share(common: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """What two sets have in common over all that they have, float64, from their sizes."""
    together = first + second - common
    return common.double() / torch.where(together > 0, together, 1)


def matches(overlap: Tensor, threshold: Tensor) -> Tensor:
    """Which proposals are right, (..., N) bool.

    Args:
        overlap: (..., N, T) of each proposal, the surest first, with each object it may stand for.
        threshold: (...) that must be reached.
    """
    best, nearest = highest_overlap(overlap)
    meant = nearest[..., None] == torch.arange(overlap.shape[-1], device=overlap.device)
    enough = meant & (best >= threshold[..., None])[..., None]
    taken, right = torch.zeros_like(enough[..., 0, :]), []
    for own in enough.unbind(-2):
        right.append((own & ~taken).any(-1))
        taken = taken | own
    return torch.stack(right, -1)


def highest_overlap(overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Of overlaps (..., T) the highest, (...), and which of the T it is with, (...) int64: of several the first."""
    count, best = overlap.shape[-1], overlap.amax(-1)
    rank = torch.arange(count, 0, -1, device=overlap.device)
    return best, (rank * (overlap == best[..., None])).argmax(-1)


def average_precision(right: Tensor, counted: Tensor, objects: Tensor) -> Tensor:
    """(...) float64, NaN where there is no object.

    Args:
        right: (..., N) bool proposals that are right, the surest first.
        counted: (..., N) bool those that are proposals of this class at all.
        objects: (...) int64 how many there are to find.
    """
    right = right & counted
    precision = right.cumsum(-1) / counted.cumsum(-1).clamp(min=1).double()
    best = precision.flip(-1).cummax(-1).values.flip(-1)
    return (right * best).sum(-1) / objects.double().masked_fill(objects == 0, torch.nan)


def picture_precision(
    classes: Tensor, confidence: Tensor, overlap: Tensor, nearest: Tensor, objects: Tensor, thresholds: Tensor
) -> Tensor:
    """Average precision of each picture by itself, averaged over the classes that occur: (Q, B) float32.

    A proposal is right at all thresholds from the overlap of the surest one before it that stands for the same object
    to its own: so no threshold is gone through. Of float32, as counts are exact, and added in a set order.

    Args:
        classes: (B, N) int64 of proposals, -1 for no proposal.
        confidence: (B, N) float32 of at least 0; of equal ones the earlier counts as surer.
        overlap: (B, N) float64 the highest with an object of the class, below all thresholds where there is none.
        nearest: (B, N) int64 the object that has it, of several the first.
        objects: (B, C) int64 how many of each class there are to find; NaN comes out where there is none of any.
        thresholds: (Q,) float64.
    """
    number = classes.shape[1]
    order = _surest_first(confidence.masked_fill(classes < 0, -1.0).t())
    classes, overlap, nearest = (part.t().gather(0, order) for part in (classes, overlap, nearest))  # each (N, B)
    lower = [torch.full_like(overlap[0], -1.0)]
    for i in range(1, number):
        same = [torch.where(nearest[j] == nearest[i], overlap[j], -1.0) for j in range(i)]
        lower.append(reduce(torch.maximum, same))
    right = (thresholds[:, None, None] > torch.stack(lower)) & (thresholds[:, None, None] <= overlap)  # (Q, N, B)
    hit = right.float().unbind(1)
    alike = [[(classes[i] == classes[j]).float() for j in range(i)] for i in range(number)]  # each (B,)
    precision = []
    for i in range(number):
        hits, counted = hit[i], torch.ones_like(hit[i][0])
        for j in range(i):
            hits, counted = hits + hit[j] * alike[i][j], counted + alike[i][j]
        precision.append(hits / counted)
    share = 1 / objects.t().gather(0, classes.clamp(min=0)).clamp(min=1).float()  # (N, B)
    total = torch.zeros_like(hit[0])
    for i in range(number):
        highest = precision[i]
        for j in range(i + 1, number):
            highest = torch.maximum(highest, precision[j] * alike[j][i])
        total = total + hit[i] * highest * share[i]
    occurring = (objects > 0).sum(1)
    return total / occurring.float().masked_fill(occurring == 0, torch.nan)


def _surest_first(sure: Tensor) -> Tensor:
    """(N, B) int64 the order of float32 (N, B), none of them -0, largest first; equal ones stay as they are.

    By neighbours that change places (Habermann, 1972), which is faster than sorting for a handful.
    """
    number = len(sure)
    place = torch.arange(number, device=sure.device)[:, None]
    keys = [*(sure.contiguous().view(torch.int32).long() * number + (number - 1 - place)).unbind(0)]
    for turn in range(number):
        for k in range(turn % 2, number - 1, 2):
            keys[k], keys[k + 1] = torch.maximum(keys[k], keys[k + 1]), torch.minimum(keys[k], keys[k + 1])
    return number - 1 - torch.stack(keys) % number


def mean_average_precision(
    boxes: Tensor,
    classes: Tensor,
    confidence: Tensor,
    true_boxes: Tensor,
    true_classes: Tensor,
    *,
    count: int,
    thresholds: Tensor,
) -> Tensor:
    """Average precision of many pictures together, averaged over the classes that occur and over thresholds.

    The proposals of all pictures are ranked together, as the protocol does with a whole data set.

    Args:
        boxes: (B, N, 4) proposals in B pictures.
        classes: (B, N) int64 their classes, -1 for no proposal.
        confidence: (B, N) of at least 0; of equal ones the earlier counts as surer.
        true_boxes: (B, T, 4).
        true_classes: (B, T) int64, -1 for no object.
        count: C, classes.
        thresholds: (Q,) float64.

    Returns:
        () float64, NaN where there is no object.
    """
    sure = confidence.masked_fill(classes < 0, -1.0)
    order = sure.argsort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    classes, sure = classes.gather(1, order), sure.gather(1, order)
    same = (classes[:, :, None] == true_classes[:, None]) & (classes >= 0)[..., None]  # (B, N, T)
    overlap = box_iou(boxes[:, :, None], true_boxes[:, None]).masked_fill(~same, -1.0)
    right = matches(overlap.expand(len(thresholds), -1, -1, -1), thresholds[:, None])  # (Q, B, N)
    kind = torch.arange(count, device=classes.device)[:, None, None]
    counted, objects = classes == kind, (true_classes == kind).sum((1, 2))  # (C, B, N), (C,)
    order = sure.flatten().argsort(dim=0, descending=True, stable=True)
    right, counted = right.flatten(1)[:, None, order], counted.flatten(1)[:, order]  # (Q, 1, B N), (C, B N)
    each = average_precision(right, counted, objects).nan_to_num(0.0)  # (Q, C)
    return each.mean(0).sum() / (objects > 0).sum()


def mean_iou(common: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
    """(B,) float64: intersection over union, averaged over the classes that occur in prediction or truth.

    Args:
        common: (B, C) int64 pixels that have the class in both.
        predicted: (B, C) int64 those that have it in the prediction.
        true: (B, C) int64 those that have it in truth.
    """
    return _share(common, predicted, true).sum(-1) / (predicted + true > 0).sum(-1)


def panoptic_quality(common: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
    """(B,) float64 of masks that do not overlap among themselves (Kirillov et al., 2019).

    A predicted and a true mask match if their intersection over union is above one half, which no other pair with
    either can be then. The quality is the sum over matches, divided by the mean number of predicted and true masks.

    Args:
        common: (B, P, T) int64 pixels that a predicted and a true mask have in common.
        predicted: (B, P) int64 pixels of each predicted mask, 0 for none.
        true: (B, T) int64 those of each true one.
    """
    overlap = _share(common, predicted[:, :, None], true[:, None])
    matched = (overlap * (overlap > 0.5)).sum((-1, -2))
    return 2 * matched / ((predicted > 0).sum(-1) + (true > 0).sum(-1)).clamp(min=1)


def matched_iou(common: Tensor, predicted: Tensor, true: Tensor, pairings: Tensor) -> Tensor:
    """(B,) float64 the mean over true masks of the overlap with their partner, in the pairing where it is highest.

    Args:
        common: (B, K, K) int64 pixels that a predicted and a true mask have in common.
        predicted: (B, K) int64 pixels of each predicted mask, 0 for none.
        true: (B, K) int64 those of each true one.
        pairings: (K!, K) int64 all ways to give each true mask another predicted one.
    """
    overlap = _share(common, predicted[:, :, None], true[:, None])  # (B, K, K)
    paired = overlap[:, pairings, torch.arange(pairings.shape[1], device=pairings.device)]  # (B, K!, K)
    return paired.sum(2).amax(1) / (true > 0).sum(1).clamp(min=1)
