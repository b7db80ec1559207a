"""The fast gradient sign method on a linear model, where the worst input is known; which balls hold which."""

import itertools

import pytest
import torch

from palaestra.neural_blocks.robustness.adversarial import fgsm, pgd, random_in_ball, steepest_step


def test_the_sign_step_is_the_exact_maximiser_of_a_linear_loss():
    """max over |d_i| <= 0.1 of g.d is 0.1 |g|_1, at a corner of the cube: no other of the 2^10 comes as far."""
    gradient = torch.tensor([0.5, -2.0, 1.0, 3.0, -0.1, 0.7, -0.7, 1.3, -4.0, 0.2])
    corners = 0.1 * torch.tensor(list(itertools.product([-1.0, 1.0], repeat=10)))
    values = corners @ gradient
    step = steepest_step(gradient[None], 0.1)[0]
    torch.testing.assert_close(step, corners[values.argmax()])
    assert (step @ gradient).item() == pytest.approx(0.1 * 13.5)
    assert (values.topk(2).values.diff() < 0).all()


def test_fgsm_is_the_worst_input_of_a_linear_classifier():
    """x = (0.5, 0.5, 0.5), class 0, margin w.x, w = (1, -2, 3): the worst in the cube of 0.1 is (0.4, 0.6, 0.4)."""
    weight = torch.tensor([1.0, -2.0, 3.0])

    def model(x):
        return torch.stack([x @ weight, torch.zeros(len(x))], 1)

    x, label = torch.full((1, 3), 0.5), torch.tensor([0])
    worst = torch.tensor([[0.4, 0.6, 0.4]])
    torch.testing.assert_close(fgsm(model, x, label, 0.1), worst)
    torch.testing.assert_close(pgd(model, x, label, 0.1, step_size=0.03, steps=5), worst)
    # the margin falls from 1 by 0.1 (1 + 2 + 3)
    torch.testing.assert_close(model(worst)[0, 0], torch.tensor(0.4))
    # in the L2 ball it falls by 0.1 sqrt(14), along w itself
    near = fgsm(model, x, label, 0.1, norm="l2")
    torch.testing.assert_close(near, 0.5 - 0.1 * weight[None] / 14**0.5)


def test_a_targeted_step_goes_the_other_way():
    """Towards class 1 is away from class 0: the targeted step equals the untargeted one of the other label."""
    weight = torch.tensor([1.0, -2.0, 3.0])

    def model(x):
        return torch.stack([x @ weight, torch.zeros(len(x))], 1)

    x = torch.full((1, 3), 0.5)
    towards = fgsm(model, x, torch.tensor([1]), 0.1, targeted=True)
    torch.testing.assert_close(towards, fgsm(model, x, torch.tensor([0]), 0.1))


def test_which_balls_lie_within_which():
    """Withstanding all of linf 0.5 means withstanding linf 0.1 and l2 0.5, and neither linf 1, l2 1 nor darkness."""
    x = torch.full((500, 64), 0.5)
    size = {"linf": torch.inf, "l2": 2, "l1": 1}

    def within(norm, radius, of, most):
        """Whether all changes of a ball, its corners too, are changes of another one."""
        changes = [random_in_ball(x, radius, norm, seed=0) - x, steepest_step(torch.randn(500, 64), radius, norm)]
        changes.append(steepest_step(torch.eye(64), radius, norm))
        return all(torch.linalg.vector_norm(one, size[of], dim=1).max() <= most + 1e-5 for one in changes)

    assert within("linf", 0.1, "linf", 0.5)
    assert within("l2", 0.5, "linf", 0.5)
    assert within("l1", 0.5, "l2", 0.5)
    assert not within("linf", 1.0, "linf", 0.5)
    assert not within("l2", 1.0, "linf", 0.5)
    assert not within("linf", 0.5, "l2", 0.5)
    assert within("linf", 0.5, "l2", 0.5 * 64**0.5)  # its corners lie that far out
    bright = torch.ones(1, 64)
    assert (0.4 * bright - bright).abs().max() > 0.5  # an image at two fifths of its light has left the ball
