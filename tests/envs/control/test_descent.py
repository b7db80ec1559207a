"""Descent's gradients against autograd, its steps against torch.optim and its expert against conjugate gradients."""

from __future__ import annotations

import math

import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.control.descent import settings
from palaestra.envs.control.surfaces import SURFACES
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Descent-v0"
each_surface = pytest.mark.parametrize("name", SURFACES)


@each_surface
def test_a_gradient_is_that_of_autograd(name):
    surface = SURFACES[name]()
    member, start = surface.draw(torch.rand(20, surface.noise))
    at = (start + 0.3 * torch.randn(20, surface.size).double()).requires_grad_()
    loss, gradient = surface.loss(member, at)
    assert loss.dtype == gradient.dtype == torch.float64
    assert (loss > 0).all()
    (expected,) = torch.autograd.grad(loss.sum(), at)
    torch.testing.assert_close(gradient, expected)


@each_surface
def test_constant_settings_are_torchs_heavy_ball(name):
    """PyTorch's velocity is minus ours over the step size, which is constant here."""
    task = make_task(ID, surface=name, length=10)
    state = task.reset(torch.rand(5, task.reset_noise))
    action = torch.tensor([-0.2, 0.4])
    size, momentum = (float(part) for part in settings(action.double()))
    assert (size, momentum) == (pytest.approx(10**-1.4), pytest.approx(0.99 * 0.7))
    at = state.parameters.double().clone().requires_grad_()
    optimiser = torch.optim.SGD([at], lr=size, momentum=momentum)
    begun = task.surface.loss(state.member.double(), at.detach())[0]
    total = torch.zeros(5)
    for time in range(4):
        at.grad = task.surface.loss(state.member.double(), at.detach())[1]
        optimiser.step()
        step = task.step(state, action.expand(5, 2), torch.empty(5, 0))
        state, total = step.state, total + step.reward
        torch.testing.assert_close(state.parameters.double(), at.detach().clamp(-100, 100), rtol=1e-4, atol=1e-5)
        if at.detach().abs().max() > 10:
            return  # it diverges here, and is held back
        assert state.time.tolist() == [time + 1] * 5
    ended = task.surface.loss(state.member.double(), at.detach())[0]
    torch.testing.assert_close(total.double(), (begun / ended).log10().clamp(-2, 6), rtol=1e-3, atol=1e-4)


def test_two_steps_on_a_parabola_computed_by_hand():
    """Curvature 1 everywhere: a step of 0.1 takes a tenth of the parameters, and the curvature is seen at once."""
    task = make_task(ID, length=2)
    noise = torch.rand(1, task.reset_noise)
    noise[:, : 1 + 12] = 0.0
    state = task.reset(noise)
    start = state.parameters
    seen = task.observe(state)[0]
    assert seen[[0, 2, 3, 4, 5, 6, 7, 8]].tolist() == [0] * 8
    assert float(seen[1]) == pytest.approx(math.log10(float(start.norm())) / 2, abs=1e-5)
    step = task.step(state, torch.tensor([[0.0, -1.0]]), torch.empty(1, 0))
    torch.testing.assert_close(step.state.parameters, 0.9 * start)
    assert float(step.reward) == pytest.approx(-2 * math.log10(0.9), abs=1e-5)
    assert math.isnan(float(step.metrics["loss"]))
    seen = task.observe(step.state)[0].tolist()
    assert seen[3:] == pytest.approx([-1, 0, 1, 0, -1, 0.5], abs=1e-4)
    step = task.step(step.state, torch.tensor([[1.0, 1.0]]), torch.empty(1, 0))  # step size 10, momentum 0.99
    expected = 0.9 * start - 0.99 * 0.1 * start - 10 * 0.9 * start
    torch.testing.assert_close(step.state.parameters, expected)
    assert bool(step.terminated)
    assert float(step.metrics["loss"]) == pytest.approx(2 * math.log10(8.199), abs=1e-4)


def test_on_a_quadratic_the_expert_is_the_method_of_conjugate_gradients():
    """As long as that method's step size and momentum are settings that an action can choose."""
    task = make_task(ID)
    state = task.reset(torch.rand(60, task.reset_noise))
    curvature, x = state.member.double(), state.parameters.double()
    residual = -curvature * x
    way, share, before = residual, torch.zeros(60).double(), torch.ones(60).double()
    possible = share == 0
    for _ in range(4):
        size = residual.square().sum(1) / (way * curvature * way).sum(1)
        possible &= (size <= 10) & (size >= 1e-3) & (share * size / before <= 0.99)
        x = x + size[:, None] * way
        state = task.step(state, task.expert(state), torch.empty(60, 0)).state
        reached, wanted = (task.surface.loss(curvature, point)[0] for point in (state.parameters.double(), x))
        torch.testing.assert_close(reached[possible], wanted[possible], rtol=1e-4, atol=0)
        fresh = -curvature * x
        share, before = fresh.square().sum(1) / residual.square().sum(1), size
        way, residual = fresh + share[:, None] * way, fresh
    assert possible.sum() > 20


def test_what_diverges_stays_finite_and_costs_two_orders_of_magnitude():
    task = make_task(ID, surface="valley", length=20)
    state = task.reset(torch.rand(50, task.reset_noise))
    total = torch.zeros(50)
    for _ in range(20):
        step = task.step(state, torch.ones(50, 2), torch.empty(50, 0))
        state, total = step.state, total + step.reward
        assert task.observe(state).isfinite().all()
        assert task.expert(state).isfinite().all()
    assert total.tolist() == pytest.approx([-2.0] * 50, abs=1e-4)


def test_the_shallow_minimum_is_where_the_formula_says_and_momentum_alone_leaves_it():
    task = make_task(ID, surface="shallow_well", length=40)
    state = task.reset(torch.rand(400, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    member = state.member.double()
    h, r, _ = member.unbind(1)
    for place, loss in ((1.0, torch.zeros_like(h)), (-1.0, -4 * h * r / 3)):
        at = torch.tensor([[place, 0.0]], dtype=torch.float64).expand(400, 2)
        found, gradient = task.surface.loss(member, at)
        torch.testing.assert_close(found, loss, atol=1e-9, rtol=1e-6)
        assert not gradient.any()
    ends = []
    for momentum in (0.0, 0.8):
        action, now = torch.tensor([[0.0, 2 * momentum / 0.99 - 1]]).expand(400, 2), state  # a step size of 0.1
        for _ in range(40):
            now = task.step(now, action, torch.empty(400, 0)).state
        ends.append((now.parameters[:, 0] > r).float().mean().item())
    assert ends[0] < 0.15
    assert ends[1] > 0.5


def test_wrong_options_are_refused():
    with pytest.raises(InvalidInput, match=r"Descent: surface must be one of .*got 'vally'"):
        make_task(ID, surface="vally")
    with pytest.raises(InvalidInput, match="Descent: length must be a whole number from 1 to 10000; got 0"):
        make_task(ID, length=0)
