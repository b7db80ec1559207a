"""Denoise against the diffusion block's own sampling and a gradient by differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.fft import idctn

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.frozen.classifiers import classifier
from palaestra.envs.frozen.generators import diffusion
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Denoise-v0"


def normal(noise):
    """Uniforms (B, 64) as standard normal images, by SciPy."""
    return torch.from_numpy(stats.norm.ppf(noise.double().numpy())).view(-1, 1, 8, 8)


def test_without_correction_it_samples_as_the_block_does():
    task, network, generator = make_task(ID), diffusion(), torch.Generator().manual_seed(0)
    noise = torch.rand(16, 65, generator=generator).clamp(min=1e-6)
    state, x = task.reset(noise), normal(noise[:, 1:])
    for t in reversed(range(10)):
        noise = torch.rand(16, 64, generator=generator).clamp(min=1e-6)
        step = task.step(state, torch.zeros(16, 16), noise)
        x = network.reverse(x, torch.full((16,), t), normal(noise))
        state = step.state
        assert step.terminated.tolist() == 16 * [t == 0]
        torch.testing.assert_close(state.noisy.double(), x.clamp(-1, 1) if t == 0 else x, rtol=0, atol=0.02)
    seen = task.observe(state)["estimate"]
    assert (seen.double() - ((x + 1) * 127.5).clamp(0, 255)).abs().max() < 3
    chance = classifier("robust").double()((x.clamp(-1, 1) + 1) / 2).softmax(1).gather(1, state.request[:, None])[:, 0]
    torch.testing.assert_close(step.reward.double(), chance, rtol=0, atol=0.05)


def test_a_correction_is_a_sum_of_slow_cosines_in_deviations_of_the_step():
    task, generator = make_task(ID, strength=1.5), torch.Generator().manual_seed(1)
    state = task.reset(torch.rand(1, 65, generator=generator))
    action, noise = torch.zeros(1, 16), torch.rand(1, 64, generator=generator)
    action[0, 6] = 0.8  # one wave down the columns, two along the rows
    moved = task.step(state, action, noise).state.noisy - task.step(state, torch.zeros(1, 16), noise).state.noisy
    coefficients = np.zeros((8, 8))
    coefficients[1, 2] = 1.5 * 0.8
    pattern = torch.from_numpy(idctn(coefficients, norm="ortho"))
    _, variance = diffusion().posterior(
        state.clean.double(), state.noisy.double(), torch.tensor([9]), state.variance.double()
    )
    torch.testing.assert_close(moved[0, 0].double(), pattern * variance[0, 0].sqrt(), rtol=0, atol=1e-3)


def test_the_expert_goes_where_the_classifier_grows_surer():
    task = make_task(ID)
    state = task.reset(torch.rand(5, 65, generator=torch.Generator().manual_seed(2)))
    with torch.no_grad():  # as agents call it
        weights = task.expert(state).double()
    assert torch.equal(weights.abs().amax(1), torch.ones(5, dtype=torch.float64))
    network, small = classifier("robust").double(), 1e-5

    def sureness(clean):
        return network((clean + 1) / 2).log_softmax(1).gather(1, state.request[:, None])[:, 0]

    slopes = []
    for wave in task.waves.view(16, 1, 8, 8):
        up, down = (sureness(state.clean.double() + sign * small * wave) for sign in (1, -1))
        slopes.append((up - down) / (2 * small))
    slopes = torch.stack(slopes, 1)
    expected = slopes / slopes.abs().amax(1, keepdim=True)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-3)


def test_the_expert_is_far_better_than_doing_nothing_and_nothing_is_one_in_ten():
    returns = {}
    for name, seed in (("expert", 3), ("nothing", 4)):
        env = BatchedEnv(make_task(ID), 400, seed=seed)
        env.reset()
        for _ in range(10):
            step = env.step(env.expert_action() if name == "expert" else torch.zeros(400, 16))
        returns[name] = step.reward
    assert returns["expert"].mean() > 0.9
    assert abs(returns["nothing"].mean() - 0.1) < 4 * returns["nothing"].std() / 20


def test_the_smallest_uniform_is_no_infinity():
    task = make_task(ID)
    state = task.step(task.reset(torch.zeros(1, 65)), torch.ones(1, 16), torch.zeros(1, 64)).state
    assert state.noisy.isfinite().all()
    assert state.clean.isfinite().all()


@pytest.mark.parametrize("strength", [-1, 11, None])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(InvalidInput, match="Denoise: strength must be a number from 0 to 10; got"):
        make_task(ID, strength=strength)
