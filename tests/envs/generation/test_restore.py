"""Restore by hand, and its measures against torchmetrics."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.generation.fidelity import Similarity, signal_to_noise, squared_error
from palaestra.envs.generation.linear_code import LinearCode
from palaestra.envs.generation.restore import UNIT
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Restore-v0"


def digits(split="train"):
    return torch.from_numpy(load_images("digits", split)[0]).flatten(1).long()


def begun(count=50, seed=0, **options):
    """A task and the states of its episodes."""
    task = make_task(ID, **options)
    return task, task.reset(torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(seed)))


def test_the_measures_are_those_of_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    original = digits()[:40]
    picture = (original + 40 * torch.randn(40, 64, generator=generator)).round().clamp(0, 255).long()
    picture[0] = original[0]
    assert Similarity().windows.dtype == torch.float64  # float32 products may be cut to 11 bits on a device
    alike, ratio = Similarity()(picture, original), signal_to_noise(squared_error(picture, original))
    for row in range(40):
        ours, theirs = (part[row].double().view(1, 1, 8, 8) for part in (picture, original))
        _, every = structural_similarity_index_measure(
            ours, theirs, gaussian_kernel=False, kernel_size=7, data_range=255.0, return_full_image=True
        )
        expected = every[..., 3:-3, 3:-3].mean()  # of windows that lie inside
        assert alike[row].item() == pytest.approx(expected.item(), abs=1e-6)
        if row:
            assert ratio[row].item() == pytest.approx(peak_signal_noise_ratio(ours, theirs, data_range=255.0).item())
    assert alike[0] == 1
    assert ratio[0].item() == pytest.approx(48.1308, abs=1e-4)  # 20 log10 255


def test_a_hole_is_four_by_four_black_and_told():
    task, state = begun(2000, damage="hole")
    seen = task.observe(state)["damaged"]
    missing = seen[:, 1] == 255
    assert missing.sum((1, 2)).unique().tolist() == [16]
    assert len(missing.flatten(1).unique(dim=0)) == 25
    rows, columns = missing.any(2), missing.any(1)
    assert rows.sum(1).unique().tolist() == columns.sum(1).unique().tolist() == [4]
    whole = state.original.view(-1, 8, 8)
    assert torch.equal(seen[:, 0].long(), whole * ~missing)
    assert state.error.tolist() == [int((whole[k][missing[k]] ** 2).sum()) for k in range(2000)]


def test_coarse_is_the_mean_of_two_by_two():
    _, state = begun(damage="coarse")
    expected = torch.nn.functional.avg_pool2d(state.original.view(-1, 1, 8, 8).double(), 2)
    expected = (expected + 1e-9).round().repeat_interleave(2, 2).repeat_interleave(2, 3)  # a half is rounded up
    assert (state.damaged.view(-1, 1, 8, 8) - expected).abs().max() <= 0.5
    assert torch.equal(state.damaged.view(-1, 8, 8)[:, ::2, ::2], state.damaged.view(-1, 8, 8)[:, 1::2, 1::2])


def test_noise_is_normal_with_a_deviation_of_64_and_cut_off():
    _, state = begun(3000, damage="noise")
    apart = (state.damaged - state.original).double()
    middle = (state.original > 120) & (state.original < 136)
    inside = apart[middle]
    assert inside.mean().item() == pytest.approx(0, abs=3)
    assert inside.std().item() == pytest.approx(61.0, abs=3)  # cut off at two deviations: 64 * 0.953
    assert (apart[state.original == 0] == 0).double().mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("damage", UNIT)
def test_a_unit_is_what_damage_does_on_average(damage):
    _, state = begun(20_000, damage=damage)
    error = state.error.double()
    assert error.mean().item() == pytest.approx(UNIT[damage], abs=4 * error.std().item() / 20_000**0.5 + 500)


def test_rewards_by_hand():
    task, state = begun(3, damage="noise")
    action = torch.zeros(3, 64)
    action[1] = (state.original[1] - state.damaged[1]).float() / 255
    action[2, 0] = 1.0
    step = task.step(state, action, torch.empty(3, 0))
    before = state.error.double()
    made = step.state.canvas
    assert torch.equal(made[0], state.damaged[0])
    assert torch.equal(made[1], state.original[1])
    assert made[2, 0] == 255
    worse = (255 - int(state.original[2, 0])) ** 2 - int(state.damaged[2, 0] - state.original[2, 0]) ** 2
    expected = [0.0, before[1].item() / 156_000, -worse / 156_000]
    assert step.reward.tolist() == pytest.approx(expected, rel=1e-6)
    assert bool(step.terminated.all())
    assert step.metrics["ssim"][1] == 1


def test_a_quarter_is_painted_at_a_time():
    task, state = begun(2, damage="coarse", patches=True)
    for turn in range(4):
        before = state.canvas.view(2, 8, 8)
        step = task.step(state, torch.full((2, 16), -1.0), torch.empty(2, 0))
        state, row, column = step.state, 4 * (turn // 2), 4 * (turn % 2)
        after, kept = state.canvas.view(2, 8, 8), torch.ones(8, 8, dtype=torch.bool)
        kept[row : row + 4, column : column + 4] = False
        assert torch.equal(after[:, kept], before[:, kept])
        assert not after[:, ~kept].any()
        assert bool(step.terminated.all()) == (turn == 3)
    assert state.error.tolist() == state.original.square().sum(1).tolist()


def test_a_code_is_that_of_principal_components():
    images = digits()
    coder, values = LinearCode(images, 24), images.double()
    code = coder.encode(images)
    assert code.mean(0).abs().max() < 0.02
    torch.testing.assert_close(torch.cov(code.double().T), torch.eye(24, dtype=torch.float64), rtol=0, atol=2e-3)
    centred = values - values.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    expected = values.mean(0) + centred @ axes[:24].T @ axes[:24]
    assert (coder.decode(code) - expected.clamp(0, 255)).abs().max() < 2


@pytest.mark.parametrize(("options", "least"), [({}, 0.95), ({"damage": "noise", "by": "code"}, 0.4)])
def test_the_expert_gains_what_can_be_gained(options, least):
    env = BatchedEnv(make_task(ID, **options), 200, seed=1)
    env.reset()
    original, gained = env.state.original, torch.zeros(200)
    for _ in range(env.task.horizon):
        step = env.step(env.expert_action())
        gained += step.reward
    canvas = step.final_observation["canvas"].flatten(1).long()
    assert gained.mean() > least
    if not options:
        assert torch.equal(canvas, original)
    else:
        coder = env.task.coder
        best = squared_error(coder.decode(coder.encode(original)), original).double().mean()
        assert squared_error(canvas, original).double().mean() < 1.02 * best


def test_patches_of_a_code_are_refused():
    with pytest.raises(InvalidInput, match="Restore: patches must be False by code; got True"):
        make_task(ID, by="code", patches=True)
