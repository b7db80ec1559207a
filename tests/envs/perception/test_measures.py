"""Overlap, average precision and quality against hand-computed examples, scikit-learn and torchmetrics."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import jaccard_score, precision_recall_curve
from torchmetrics.functional.detection import panoptic_quality as reference_quality

from palaestra.envs.perception.measures import (
    average_precision,
    box_iou,
    highest_overlap,
    matched_iou,
    matches,
    mean_average_precision,
    mean_iou,
    panoptic_quality,
    picture_precision,
)

HALF = torch.tensor([0.5], dtype=torch.float64)


def masks_of(boxes, side=33):
    """Boxes (N, 4) as pictures (N, side, side), pixel by pixel."""
    row, column = np.mgrid[:side, :side]
    return np.stack([(column >= x) & (column < x + w) & (row >= y) & (row < y + h) for x, y, w, h in boxes])


def random_boxes(count, seed):
    generator = np.random.default_rng(seed)
    corner, size = generator.integers(0, 20, (count, 2)), generator.integers(1, 13, (count, 2))
    return torch.from_numpy(np.concatenate([corner, size], 1))


def test_overlap_of_boxes_is_that_of_their_pixels():
    first, second = random_boxes(200, 0), random_boxes(200, 1)
    one, two = masks_of(first.tolist()), masks_of(second.tolist())
    wanted = (one & two).sum((1, 2)) / (one | two).sum((1, 2))
    assert (wanted > 0).mean() > 0.2
    np.testing.assert_allclose(box_iou(first, second).numpy(), wanted, atol=1e-12)


def test_overlap_by_hand():
    """Two squares of 4 that share a corner of 2 x 2: 4 of 16 + 16 - 4; then a box in itself, apart, and two points."""
    boxes = torch.tensor([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [3, 3, 0, 0]])
    others = torch.tensor([[2, 2, 4, 4], [0, 0, 4, 4], [4, 0, 4, 4], [3, 3, 0, 0]])
    assert box_iou(boxes, others).tolist() == pytest.approx([4 / 28, 1, 0, 0])
    assert box_iou(boxes.double() / 3, others.double() / 3).tolist() == pytest.approx([4 / 28, 1, 0, 0])


def test_a_second_match_with_the_same_object_is_wrong_whatever_else_is_near():
    """The second proposal overlaps object 0 most, which is taken; that it also reaches object 1 does not save it."""
    overlap = torch.tensor([[0.9, 0.0], [0.7, 0.6], [0.1, 0.5], [0.2, 0.49]], dtype=torch.float64)
    assert matches(overlap, HALF[0]).tolist() == [True, False, True, False]
    assert matches(overlap, torch.tensor(0.6)).tolist() == [True, False, False, False]


def test_average_precision_by_hand():
    """Right, wrong, right, right, wrong, of four objects: precision 1, 2/3, 3/4, of which the best to the right counts.

    So recalls of 1/4, 2/4 and 3/4 are reached at precisions of 1, 3/4 and 3/4, and that of 4/4 never.
    """
    right = torch.tensor([True, False, True, True, False])
    area = average_precision(right, torch.ones(5, dtype=torch.bool), torch.tensor(4))
    assert area.item() == pytest.approx((1 + 3 / 4 + 3 / 4) / 4, abs=1e-12)
    assert average_precision(right, torch.ones(5, dtype=torch.bool), torch.tensor(0)).isnan()
    counted = torch.tensor([True, False, True, True, False])  # wrong ones are of another class
    assert average_precision(right, counted, torch.tensor(4)).item() == pytest.approx(3 / 4, abs=1e-12)


def test_average_precision_is_the_area_under_scikit_learns_curve_made_monotone():
    generator = np.random.default_rng(2)
    for _ in range(20):
        confidence = generator.permutation(12) / 12
        right = generator.random(12) < 0.5
        right[0] = True
        order = np.argsort(-confidence)
        precision, recall, _ = precision_recall_curve(right, confidence)
        envelope = np.maximum.accumulate(precision[:-1])  # scikit-learn's recall falls
        wanted = -np.sum(np.diff(recall) * envelope)
        found = average_precision(
            torch.from_numpy(right[order]), torch.ones(12, dtype=torch.bool), torch.tensor(int(right.sum()))
        )
        assert found.item() == pytest.approx(wanted, abs=1e-9)


def loop(pictures, classes, threshold):
    """The protocol's words as plain loops over all pictures: the mean over classes of the area."""
    areas = []
    for kind in range(classes):
        ranked = []
        objects = 0
        for number, (proposals, truths) in enumerate(pictures):
            objects += sum(truth[0] == kind for truth in truths)
            ranked += [(-sure, number, k, box) for k, (own, box, sure) in enumerate(proposals) if own == kind]
        if not objects:
            continue
        taken, right = set(), []
        for _, number, _, box in sorted(ranked, key=lambda one: one[:3]):
            best, which = -1.0, None
            for index, (own, truth) in enumerate(pictures[number][1]):
                one, two = masks_of([box, truth])
                share = (one & two).sum() / (one | two).sum()
                if own == kind and share > best:
                    best, which = share, (number, index)
            right.append(best >= threshold and which not in taken)
            if best >= threshold:
                taken.add(which)
        points = [(sum(right[: k + 1]) / objects, sum(right[: k + 1]) / (k + 1)) for k in range(len(right))]
        area, before = 0.0, 0.0
        for k, (recall, _) in enumerate(points):
            area += (recall - before) * max(precision for _, precision in points[k:])
            before = recall
        areas.append(area)
    return np.mean(areas)


def made_up(pictures, seed):
    """Pictures with up to four objects and six proposals, most of them near one: as lists, and as tensors."""
    generator = np.random.default_rng(seed)
    boxes, classes, sure = np.zeros((pictures, 6, 4), int), np.full((pictures, 6), -1), np.zeros((pictures, 6))
    true_boxes, true_classes = np.zeros((pictures, 4, 4), int), np.full((pictures, 4), -1)
    lists = []
    for row in range(pictures):
        truths = []
        for k in range(generator.integers(1, 5)):
            true_boxes[row, k] = [*generator.integers(0, 14, 2), *generator.integers(5, 10, 2)]
            true_classes[row, k] = generator.integers(3)
            truths.append((true_classes[row, k], true_boxes[row, k]))
        proposals = []
        for k in range(generator.integers(0, 7)):
            kind, near = truths[generator.integers(len(truths))]
            box = np.maximum(near + generator.integers(-1, 2, 4), [0, 0, 1, 1])
            kind = kind if generator.random() < 0.8 else generator.integers(3)
            boxes[row, k], classes[row, k], sure[row, k] = box, kind, generator.integers(1, 5) / 4  # with ties
            proposals.append((kind, box, sure[row, k]))
        lists.append((proposals, truths))
    return lists, [torch.from_numpy(part) for part in (boxes, classes, sure, true_boxes, true_classes)]


def by_picture(boxes, classes, sure, true_boxes, true_classes, thresholds):
    """Average precision of each picture by itself, of what `mean_average_precision` is given."""
    overlap = box_iou(boxes[:, :, None], true_boxes[:, None])
    overlap = overlap.masked_fill(classes[:, :, None] != true_classes[:, None], -1.0)
    objects = torch.stack([(true_classes == kind).sum(1) for kind in range(3)], 1)
    return picture_precision(classes, sure.float(), *highest_overlap(overlap), objects, thresholds)


@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_mean_average_precision_is_that_of_plain_loops_for_each_picture_and_for_all_together(threshold):
    lists, tensors = made_up(12, 3)
    at = torch.tensor([threshold], dtype=torch.float64)
    (each,) = by_picture(*tensors, at)
    wanted = [loop([picture], 3, threshold) for picture in lists]
    np.testing.assert_allclose(each.numpy(), wanted, atol=1e-6)
    assert 0.1 < each.mean() < 0.95
    pooled = mean_average_precision(*tensors, count=3, thresholds=at)
    assert pooled.item() == pytest.approx(loop(lists, 3, threshold), abs=1e-9)
    assert abs(pooled.item() - each.mean().item()) > 1e-3  # the two are not the same measure


def test_several_thresholds_give_each_of_a_picture_and_the_mean_of_all_together():
    _, tensors = made_up(12, 4)
    thresholds = torch.tensor([0.5, 0.6, 0.9], dtype=torch.float64)
    alone = [by_picture(*tensors, one[None])[0] for one in thresholds]
    assert torch.equal(by_picture(*tensors, thresholds), torch.stack(alone))
    assert (alone[0] >= alone[2]).all()
    pooled = [mean_average_precision(*tensors, count=3, thresholds=one[None]) for one in thresholds]
    together = mean_average_precision(*tensors, count=3, thresholds=thresholds)
    torch.testing.assert_close(together, torch.stack(pooled).mean())


def test_a_picture_without_objects_has_no_precision():
    none = torch.full((1, 2), -1)
    found = by_picture(
        torch.ones(1, 3, 4), torch.zeros(1, 3, dtype=torch.int64), torch.ones(1, 3), torch.zeros(1, 2, 4), none, HALF
    )
    assert found.isnan().all()


def test_the_highest_overlap_is_the_first_of_several():
    best, which = highest_overlap(torch.tensor([[0.2, 0.5, 0.5, 0.1], [-1.0, -1.0, -1.0, -1.0]]))
    assert (best.tolist(), which.tolist()) == ([0.5, -1.0], [1, 0])


def counted(answer, truth, values):
    """Pixels in common, of the answer and of truth, by plain comparison."""
    one, two = (torch.stack([part.flatten(1) == k for k in range(values)], 1).long() for part in (answer, truth))
    return one @ two.transpose(1, 2), one.sum(2), two.sum(2)


def blots(seed):
    """Answers and truths (B, 12, 12) of values 0 to 3: squares, of which the answer's are moved a little."""
    generator = np.random.default_rng(seed)
    truth, answer = np.zeros((12, 12, 12), int), np.zeros((12, 12, 12), int)
    for row in range(12):
        for value in generator.permutation(3)[: generator.integers(1, 4)] + 1:
            y, x = generator.integers(0, 7, 2)
            truth[row, y : y + 5, x : x + 5] = value
            y, x = (np.array((y, x)) + generator.integers(-1, 2, 2)).clip(0, 7)
            answer[row, y : y + 5, x : x + 5] = value
    return torch.from_numpy(answer), torch.from_numpy(truth)


def test_mean_overlap_of_classes_is_scikit_learns():
    answer, truth = blots(5)
    common, predicted, true = counted(answer, truth, 4)
    found = mean_iou(common.diagonal(dim1=1, dim2=2), predicted, true)
    wanted = [
        jaccard_score(two.flatten(), one.flatten(), average="macro")
        for one, two in zip(answer.numpy(), truth.numpy(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)


def test_panoptic_quality_is_that_of_torchmetrics():
    answer, truth = blots(6)
    found = panoptic_quality(
        *(part[..., 1:] if k else part[:, 1:, 1:] for k, part in enumerate(counted(answer, truth, 4)))
    )
    for row in range(12):
        pair = [torch.stack([(one[row] > 0).long(), one[row]], -1)[None] for one in (answer, truth)]
        kinds = reference_quality(*pair, things={1}, stuffs={0}, return_per_class=True)
        assert found[row].item() == pytest.approx(kinds[0, 0].item(), abs=1e-6)
    assert 0 < found.mean() < 1


def test_panoptic_quality_by_hand():
    """Masks of 10 and 4; one of 8 shares 8 with the first (8/10), one of 6 none: 0.8 over the mean of 2 and 2."""
    common = torch.tensor([[[8, 0], [0, 0]]])
    found = panoptic_quality(common, torch.tensor([[8, 6]]), torch.tensor([[10, 4]]))
    assert found.item() == pytest.approx(0.4)


PAIRINGS = torch.tensor([*permutations(range(3))])


def test_the_overlap_of_matched_masks_is_that_of_scipys_best_assignment():
    answer, truth = blots(7)
    answer = (answer + 1) % 4  # so that numbers differ, and the ground is a mask of its own
    common, predicted, true = (
        part[..., 1:] if k else part[:, 1:, 1:] for k, part in enumerate(counted(answer, truth, 4))
    )
    found = matched_iou(common, predicted, true, PAIRINGS)
    for row in range(12):
        union = predicted[row][:, None] + true[row] - common[row]
        overlap = (common[row] / union.clamp(min=1)).numpy()
        pairs = linear_sum_assignment(overlap, maximize=True)
        assert found[row].item() == pytest.approx(overlap[pairs].sum() / max(1, (true[row] > 0).sum().item()))
    assert 0 < found.mean() < 1


def test_the_overlap_of_matched_masks_by_hand():
    """Masks of 6 share 4 and 3 with an object of 8, 2 and 3 with another: the first takes 4, the second 3."""
    common, six = torch.tensor([[[4, 2, 0], [3, 3, 0], [0, 0, 0]]]), torch.tensor([[6, 6, 0]])
    found = matched_iou(common, six, torch.tensor([[8, 8, 0]]), PAIRINGS)
    assert found.item() == pytest.approx((4 / 10 + 3 / 11) / 2)
