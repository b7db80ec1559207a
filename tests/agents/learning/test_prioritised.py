"""Prioritised replay against the formulas of Schaul et al. (2016), written out; and DQN that learns by it."""

import pytest
import torch

from palaestra import agents
from palaestra.agents.core.randomness import Randomness
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.prioritised import LEAST, PrioritisedReplay
from palaestra.agents.learning.replay import Transition
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

CPU, B = torch.device("cpu"), 2


def filled(steps, capacity=12, exponent=0.6):
    """A replay whose step t of environment i is told by the reward 10 t + i."""
    replay = PrioritisedReplay(capacity, B, CPU, exponent)
    never = torch.zeros(B, dtype=torch.bool)
    for time in range(steps):
        told = 10.0 * time + torch.arange(B)
        replay.write(Transition(told, never, told.long(), told, never, never, told))
    return replay


def drawn(replay, size=50_000, beta=0.5):
    return replay.draw(size, 0.9, 1, Randomness(0), torch.tensor(beta))


@pytest.mark.parametrize("steps", [4, 9])  # the ring of 6 steps is not full, or has come round
def test_each_transition_is_drawn_and_counts_as_its_priority_says(steps):
    replay = filled(steps)
    kept = min(steps, 6)
    slots = torch.arange(kept)
    errors = torch.linspace(0.1, 3.0, kept * B).view(kept, B)
    replay.rank((slots.unsqueeze(1) * B + torch.arange(B)).flatten(), errors.flatten())
    batch = drawn(replay)
    shares = (errors + LEAST) ** 0.6
    chances = shares / shares.sum()
    weights = (1 / (kept * B * chances)) ** 0.5
    weights = weights / weights.max()
    for slot in range(kept):
        time = slot + 6 * ((steps - 1 - slot) // 6)  # the last time that was written there
        for env in range(B):
            here = batch.reward[0] == 10 * time + env
            share, told = here.double().mean().item(), chances[slot, env].item()
            assert share == pytest.approx(told, abs=4 * (told / 50_000) ** 0.5)
            torch.testing.assert_close(batch.importance[here], weights[slot, env].expand(int(here.sum())))
            assert (batch.chosen[here] == slot * B + env).all()


def test_draws_are_stratified():
    """Each of N equal priorities is drawn once by N draws."""
    batch = filled(6).draw(12, 0.9, 1, Randomness(3), torch.tensor(1.0))
    assert sorted(batch.chosen.tolist()) == list(range(12))
    assert batch.importance.tolist() == [1.0] * 12


def test_new_steps_have_the_largest_priority_so_far():
    replay = filled(2)
    replay.rank(torch.tensor([0]), torch.tensor([-5.0]))
    never, told = torch.zeros(B, dtype=torch.bool), torch.zeros(B)
    replay.write(Transition(told, never, told.long(), told, never, never, told))
    assert replay.priorities[2].tolist() == pytest.approx([5.0] * B)
    assert replay.priorities[0].tolist() == pytest.approx([5.0, 1.0])
    assert replay.priorities[3:].eq(0).all()


def test_a_sum_of_rewards_starts_where_the_draw_lies_and_ends_with_the_newest_step():
    batch = filled(6).draw(12, 0.5, 3, Randomness(3), torch.tensor(1.0))
    for chosen, found in zip(batch.chosen.tolist(), batch.reward[0].tolist(), strict=True):
        time, env = divmod(chosen, B)
        assert found == sum(0.5**ahead * (10 * (time + ahead) + env) for ahead in range(min(3, 6 - time)))


def test_the_importance_exponent_grows_to_one_over_the_run():
    env = make_batched("palaestra/DigitBandit-v0", 4, seed=0)
    settings = {"priority_exponent": 0.6, "warmup_steps": 4, "batch_size": 8, "hidden": (4,)}
    agent = agents.make("dqn", env, **settings)
    seen, draw = [], PrioritisedReplay.draw

    def noted(self, size, gamma, steps, randomness, importance):
        seen.append(float(importance))
        return draw(self, size, gamma, steps, randomness, importance)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrioritisedReplay, "draw", noted)
        agent.train(env, 40)
    assert seen == pytest.approx([0.4 + 0.6 * k / 10 for k in range(10)])


def learned(execution):
    env = make_batched("palaestra/DigitBandit-v0", 8, seed=0)
    settings = {"priority_exponent": 0.7, "warmup_steps": 8, "batch_size": 16, "hidden": (8,), "updates": 2}
    agent = agents.make("dqn", env, seed=1, execution="compiled" if execution == "compiled" else "eager", **settings)
    if execution == "captured":
        captured(agent)
    return list(agent.learn(env, 200)), agent.state_dict()


@pytest.mark.parametrize("execution", ["compiled", "captured"])
def test_it_learns_alike_in_every_way_of_running(execution, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    close(learned(execution), learned("eager"))


def test_a_run_that_was_stopped_equals_the_one_that_was_not(uneven):
    settings = {"priority_exponent": 0.6, "warmup_steps": 6, "batch_size": 8, "hidden": (4,)}
    check_resume("dqn", lambda: uneven(2), 30, **settings)


def test_priorities_are_of_single_steps(uneven):
    with pytest.raises(InvalidInput, match=r"priority_exponent must be 0 with a memory; got 0\.6"):
        agents.make("dqn", uneven(2), memory="gru", priority_exponent=0.6)
