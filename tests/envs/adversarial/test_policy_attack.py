"""PolicyAttack by hand, against the wrapped environment alone, and with an agent from a file as its victim."""

from __future__ import annotations

import pytest
import torch

from palaestra import agents
from palaestra.envs import BatchedEnv, make_batched, make_task
from palaestra.envs.core.task import NoExpert
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/PolicyAttack-v0"


def uniforms(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def returns(task, attack, batch=128):
    """(B, 2) what the victim returns under an attack and left alone."""
    state = task.reset(uniforms(batch, task.reset_noise))
    total = torch.zeros(batch)
    for time in range(task.horizon):
        step = task.step(state, attack(state), uniforms(batch, task.step_noise, seed=1 + time))
        state, total = step.state, total + step.reward
    assert step.terminated.all()
    torch.testing.assert_close(total, state.returns[:, 1] - state.returns[:, 0], atol=1e-5, rtol=0)
    return state.returns


def test_a_step_computed_by_hand():
    """A driver that steers by half its offset: shown 0.2 more of it, it steers 0.1 more, which moves it by 0.2."""
    task = make_task(ID, environment="Road", victim=lambda seen: seen[:, :1] / 2, epsilon=0.4)
    state = task.reset(torch.tensor([[0.25]]))  # a quarter turn, where the bend is 0.1
    assert task.observe(state)["observation"].tolist() == [pytest.approx([0, 1, 0], abs=1e-6)]
    assert task.observe(state)["intent"].tolist() == [[0.0]]
    step = task.step(state, torch.tensor([[0.5, 0.0, -1.0]]), torch.tensor([[0.0]]))
    assert step.state.shown.tolist() == [pytest.approx([0.2, 1, -0.4], abs=1e-6)]
    assert step.state.attacked.offset.tolist() == [pytest.approx(0.1 - 0.2, abs=1e-6)]
    assert step.state.alone.offset.tolist() == [pytest.approx(0.1, abs=1e-6)]
    assert step.reward.tolist() == [pytest.approx(0.0, abs=1e-6)]  # both are 0.1 off
    step = task.step(step.state, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0]]))
    assert step.state.attacked.offset.tolist() == [pytest.approx(-0.1 + 0.1 - (0.4 - 0.1), abs=1e-6)]
    assert step.reward.tolist() == [pytest.approx(0.3 - 0.1, abs=1e-6)]
    assert step.state.returns.tolist() == [pytest.approx([-0.1 - 0.3, -0.1 - 0.1], abs=1e-6)]


def test_without_a_shift_nothing_falls_and_the_victim_does_as_in_its_environment():
    task, inner = make_task(ID), make_task("palaestra/Fork-v0")
    state, alone = task.reset(uniforms(32, 4)), inner.reset(uniforms(32, 4))
    for time in range(12):
        noise = uniforms(32, 4, seed=time)
        step = task.step(state, torch.zeros(32, 3), noise)
        plain = inner.step(alone, task.victim(inner.observe(alone)).float(), noise)
        assert (step.reward == 0).all()
        torch.testing.assert_close(step.state.attacked.offset, plain.state.offset, atol=1e-3, rtol=0)
        state, alone = step.state, plain.state


def test_the_expert_takes_most_of_a_return_that_uniform_shifts_hardly_touch():
    task = make_task(ID)
    attacked, alone = returns(task, task.expert).mean(0).tolist()
    assert alone == 1
    assert attacked <= 0.05
    noise = torch.Generator().manual_seed(0)
    attacked, alone = returns(task, lambda _: torch.rand(128, 3, generator=noise) * 2 - 1).mean(0).tolist()
    assert alone == 1
    assert attacked >= 0.85


def test_what_is_over_stays_over():
    """A driver that is made to crash returns no more, and the other one goes on to the end."""
    task = make_task(ID, epsilon=1.0)
    state = task.reset(uniforms(16, 4))
    for time in range(task.horizon):
        before = state
        state = task.step(state, torch.ones(16, 3), uniforms(16, 4, seed=time)).state
        kept = before.over[:, 0]
        assert torch.equal(state.attacked.offset[kept], before.attacked.offset[kept])
        assert torch.equal(state.returns[kept, 0], before.returns[kept, 0])
        assert (state.over | ~before.over).all()
    assert (state.returns[:, 1] == 1).all()
    assert (state.returns[:, 0] < 1).all()


def test_images_are_shifted_by_whole_numbers_within_their_bounds():
    seen = []

    def victim(image):
        seen.append(image)
        return torch.zeros(len(image), dtype=torch.int64)

    task = make_task(ID, environment="DigitBandit", victim=victim, epsilon=0.1)
    state = task.reset(uniforms(8, 1))
    image = task.observe(state)["observation"]
    task.step(state, torch.ones(8, 64), torch.empty(8, 0))
    expected = (image.flatten(1).double() + 25.5).round().clamp(max=255)
    shown = next(one for one in seen if not torch.equal(one, image))
    assert shown.dtype == torch.uint8
    assert torch.equal(shown.flatten(1), expected.to(torch.uint8))
    with pytest.raises(NoExpert, match="no gradient"):
        task.expert(state)


def test_the_gradient_fools_the_classifier_and_the_same_shift_for_all_does_not():
    task = make_task(ID, environment="DigitBandit", epsilon=0.15)
    attacked, alone = returns(task, task.expert, 256).mean(0).tolist()
    assert alone > 0.98  # the classifier has seen these
    assert attacked < 0.4
    assert returns(task, lambda _: torch.ones(256, 64), 256)[:, 0].mean() > 0.9


def test_an_agent_from_a_file_is_a_victim(tmp_path):
    env = make_batched("palaestra/Fork-v0", 4)
    agent = agents.make("ppo", env, hidden=[8])
    agent.save(tmp_path / "agent.pt")
    loaded = agents.load(tmp_path / "agent.pt")
    task = make_task(ID, victim=lambda seen: loaded.act(seen, greedy=True)[0])
    attacked = BatchedEnv(task, 4)
    seen = attacked.reset()
    expected = agent.act(seen["observation"], greedy=True)[0].clamp(-1, 1)
    torch.testing.assert_close(seen["intent"], expected)
    assert torch.isfinite(attacked.step(torch.zeros(4, 3)).reward).all()


def test_what_is_kept_is_a_share_of_what_there_was():
    task = make_task(ID)
    assert task.summarise({"attacked": 0.2, "alone": 0.8})["kept"] == pytest.approx(0.25)
    assert "kept" not in task.summarise({"attacked": -2.0, "alone": -1.0})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"environment": "Frok"}, "palaestra/Frok-v0.*did you mean 'palaestra/Fork-v0'"),
        ({"environment": 3}, "PolicyAttack: environment must be a name or an id; got 3"),
        ({"environment": "Road"}, "PolicyAttack: environment with the victim 'cloned' must be one of"),
        ({"environment": "Copy", "victim": lambda seen: seen}, "PolicyAttack: environment must have a Box to see"),
        ({"victim": "clone"}, "PolicyAttack: victim must be 'cloned', a function or a module; got 'clone'"),
        ({"epsilon": 0}, "PolicyAttack: epsilon must be a number from 0.0001 to 1000; got 0"),
        ({"options": {"forks": 0}}, "Fork: forks must be a whole number"),
    ],
)
def test_a_wrong_option_is_named(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
