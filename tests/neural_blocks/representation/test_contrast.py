"""Losses of learning without labels against plain loops."""

import math

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.representation.contrast import dino_loss, nt_xent, predictive_contrast, queue_contrast


def cosine(one, other):
    return float(one @ other / (one.norm() * other.norm()))


def surprise(right, all_of_them):
    """-ln of the right one's share in a softmax."""
    return -math.log(math.exp(right) / sum(math.exp(one) for one in all_of_them))


def test_nt_xent_finds_each_view_s_partner_among_all_others():
    first, second = torch.randn(4, 3), torch.randn(4, 3)
    views = [*first, *second]
    total = 0.0
    for place, view in enumerate(views):
        others = [cosine(view, other) / 0.3 for other in views]
        partner = others[(place + 4) % 8]
        total += surprise(partner, others[:place] + others[place + 1 :])
    assert nt_xent(first, second, 0.3).item() == pytest.approx(total / 8, rel=1e-5)


def test_a_queue_s_keys_are_negatives():
    query, key, queue = torch.randn(3, 4), torch.randn(3, 4), torch.randn(5, 4)
    total = 0.0
    for one, own in zip(query, key, strict=True):
        cosines = [cosine(one, other) / 0.2 for other in [own, *queue]]
        total += surprise(cosines[0], cosines)
    assert queue_contrast(query, key, queue, 0.2).item() == pytest.approx(total / 3, rel=1e-5)


def test_a_student_is_held_to_its_teacher_centred_and_sharpened():
    student, teacher, centre = (
        torch.randn(3, 4, requires_grad=True),
        torch.randn(3, 4, requires_grad=True),
        torch.randn(4),
    )
    total = 0.0
    for own, other in zip(student.tolist(), teacher.tolist(), strict=True):
        wanted = [math.exp((value - middle) / 0.5) for value, middle in zip(other, centre.tolist(), strict=True)]
        for value, share in zip(own, wanted, strict=True):
            total += share / sum(wanted) * surprise(value / 0.7, [one / 0.7 for one in own])
    loss = dino_loss(student, teacher, centre, 0.7, 0.5)
    assert loss.item() == pytest.approx(total / 3, rel=1e-5)
    loss.backward()
    assert teacher.grad is None


def test_what_comes_is_found_among_what_comes_elsewhere_then():
    foretold, seen = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    counts = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).bool()
    losses = []
    for time, row in counts.nonzero().tolist():
        cosines = [cosine(foretold[time, row], other) / 0.4 for other in seen[time]]
        losses.append(surprise(cosines[row], cosines))
    assert predictive_contrast(foretold, seen, counts, 0.4).item() == pytest.approx(sum(losses) / 4, rel=1e-5)
    assert predictive_contrast(foretold, seen, torch.zeros_like(counts)).item() == 0


def test_shapes_that_do_not_fit_are_refused():
    for refused in (
        lambda: nt_xent(torch.ones(2, 3), torch.ones(3, 3)),
        lambda: queue_contrast(torch.ones(2, 3), torch.ones(2, 4), torch.ones(2, 3)),
        lambda: predictive_contrast(torch.ones(2, 3, 4), torch.ones(2, 3, 4), torch.ones(3, 2).bool()),
    ):
        with pytest.raises(InvalidInput, match="one shape"):
            refused()
