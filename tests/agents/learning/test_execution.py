"""Every learner in every way of running it: eager, compiled and captured learn the same."""

import warnings
from itertools import islice

import pytest
import torch

from palaestra import agents
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.learning.execution import Interaction, PerShape, compiled_by
from palaestra.agents.learning.learner import Learner
from palaestra.envs import GymnasiumBridge, make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_every_agent import LEARNERS, claims, make_env, settings
from palaestra.tests.envs.core.tape import Tape

OWN = [name for name in LEARNERS if not name.startswith("sb3:")]  # foreign code runs as it is
ITERATIONS = 20


def made(name, execution, env=None, **further):
    """An agent that learns that way, and what it is for; captured by the stand-in for a graph on the CPU."""
    seen, acted = next(iter(claims(name)))
    if env is None:
        env = make_batched("palaestra/RepeatPrevious-v0", 4) if name == "q_table" else make_env(name, seen, acted)
    config = {**settings(name, seen, acted), **further}
    agent = agents.make(name, env, seed=3, execution="compiled" if execution == "compiled" else "eager", **config)
    if execution == "captured":
        captured(agent)
    return agent, env


def reports_of(agent, env, iterations):
    """What it reports of so many iterations more."""
    return list(islice(agent.learn(env, 10**9), iterations))


def learned(name, execution, iterations=ITERATIONS, **further):
    """Agent, environments and reports after so many iterations, run that way."""
    agent, env = made(name, execution, **further)
    return agent, env, reports_of(agent, env, iterations)


def captured(agent):
    """Runs the agent's iterations as graphs; the learners within it too."""
    agent.execution = "captured"
    agent.randomness.ahead = False
    agent.compiled = lambda function: function
    for part in vars(agent).values():
        if isinstance(part, Learner):
            captured(part)


def check_captured(monkeypatch, name, make, steps, **settings):
    """An agent's reports and state, which are the same with its iterations as graphs; gives the eager state."""
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = make()
        agent = agents.make(name, env, seed=3, **settings)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, steps)), agent.state_dict()))
    close(states[1], states[0])
    return states[0][1]


def close(one, other, path="state"):
    """Asserts that two states agree, numbers within rounding."""
    if isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, equal_nan=True, msg=lambda told: f"{path}: {told}")
    elif isinstance(one, dict):
        assert set(one) == set(other), path
        for key in one:
            close(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            close(a, b, f"{path}.{place}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5), path
    else:
        assert one == other, path


@pytest.mark.parametrize("name", OWN)
def test_compiled_learning_equals_eager_learning(name, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")  # traced as for the compiler, and run as it was traced
    eager, env, reports = learned(name, "eager")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*compiled again")
        compiled, other_env, other_reports = learned(name, "compiled")
    close(other_reports, reports)
    close(compiled.state_dict(), eager.state_dict())
    close(other_env.state_dict(), env.state_dict())


@pytest.mark.parametrize("name", [name for name in OWN if name != "self_play"])
def test_captured_learning_equals_eager_learning_from_one_graph_of_each_kind(name, monkeypatch):
    monkeypatch.setattr(Learner, "recorder", Tape)
    eager, env, reports = learned(name, "eager")
    made = Tape.made
    graphs, other_env, other_reports = learned(name, "captured")
    kinds = len(graphs._iterations._graphs)
    assert Tape.made - made == kinds <= 4
    close(other_reports, reports)
    close(graphs.state_dict(), eager.state_dict())
    close(other_env.state_dict(), env.state_dict())


def test_captured_self_play_meets_the_newest_opponents(monkeypatch):
    """The pool grows to its limit and is then overwritten in place: no graph keeps an older one."""
    monkeypatch.setattr(Learner, "recorder", Tape)
    eager, _, reports = learned("self_play", "eager", 12, pool=4)
    graphs, _, other_reports = learned("self_play", "captured", 12, pool=4)
    close(other_reports, reports)
    for one, other in ((graphs.own, eager.own), (graphs.rival, eager.rival)):
        assert one._iterations is not None
        close(one.state_dict(), other.state_dict())


@pytest.mark.parametrize(("name", "memory"), [("ppo", "gru"), ("rl2", "fast_weights"), ("rl2", "transformer")])
def test_memories_are_captured_too(name, memory, monkeypatch):
    monkeypatch.setattr(Learner, "recorder", Tape)
    eager, env, reports = learned(name, "eager", 6, memory=memory, memory_size=4)
    graphs, other_env, other_reports = learned(name, "captured", 6, memory=memory, memory_size=4)
    close(other_reports, reports)
    close(graphs.state_dict(), eager.state_dict())
    close(other_env.state_dict(), env.state_dict())


@pytest.mark.parametrize("execution", ["compiled", "captured"])
@pytest.mark.parametrize(("network", "id"), [("pointer", "Summarize"), ("unet", "Segment")])
def test_networks_that_read_what_they_see_by_themselves_learn_alike(network, id, execution, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    # by gradients as they are: Adam would make rounding as large as a step where normalisation leaves no gradient
    settings = {"network": network, "hidden": [8, 8], "optimiser": "sgd", "learning_rate": 0.1}
    one, other = (make_batched(f"palaestra/{id}-v0", 4) for _ in range(2))
    eager, env, reports = learned("ppo", "eager", 4, env=one, **settings)
    again, other_env, other_reports = learned("ppo", execution, 4, env=other, **settings)
    close(other_reports, reports)
    close(again.state_dict(), eager.state_dict())
    close(other_env.state_dict(), env.state_dict())


@pytest.mark.parametrize("execution", ["compiled", "captured"])
def test_counts_are_compiled_and_captured_too(execution, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)

    def counted(execution):
        env = make_batched("palaestra/TabularMDP-v0", 4, states=3, actions=2, length=2, episodes=3)
        config = {"network": "per_action", "memory": None, "hidden": (4,), "rollout_steps": 4, "minibatches": 2}
        agent = agents.make("rl2", env, seed=3, execution="compiled" if execution == "compiled" else "eager", **config)
        if execution == "captured":
            captured(agent)
        return reports_of(agent, env, 4), agent.state_dict(), env.state_dict()

    close(counted(execution), counted("eager"))


@pytest.mark.parametrize("execution", ["compiled", "captured"])
@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_a_saved_agent_goes_on_bit_for_bit(name, execution, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    whole, _, reports = learned(name, execution, 6)
    first, env, _ = learned(name, execution, 3)
    first.save("agent.pt")
    again, other = made(name, execution)
    again.restore(read_checkpoint("agent.pt"), "agent.pt")
    other.load_state_dict(env.state_dict())
    assert reports_of(again, other, 3) == reports[3:]
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_what_the_compiler_makes_of_ppo_learns_as_ppo_does(monkeypatch):
    eager, _, reports = learned("ppo", "eager", 3)
    compiled, _, other_reports = learned("ppo", "compiled", 3)
    close(other_reports, reports)
    close(compiled.state_dict(), eager.state_dict())


def test_replayed_actions_are_as_many_of_each_kind_as_eager_ones(monkeypatch):
    """A number baked into a graph would draw the same actions again and again."""
    monkeypatch.setattr(Learner, "recorder", Tape)
    env = make_batched("palaestra/DigitBandit-v0", 16)
    agent = agents.make("ppo", env, rollout_steps=2, minibatches=1, learning_rate=1e-9, hidden=(4,))
    captured(agent)
    seen = []
    collect = agent.__class__.update

    def update(self, rollout, advantage):
        seen.append(rollout.action)
        return collect(self, rollout, advantage)

    monkeypatch.setattr(agent.__class__, "update", update)
    counts = torch.zeros(10, dtype=torch.int64)
    different = set()
    for count, _ in enumerate(agent.learn(env, 10**9)):
        counts += seen[-1].flatten().bincount(minlength=10)
        different.add(tuple(seen[-1].flatten().tolist()))
        if count == 100:
            break
    assert len(different) > 90
    share = counts / counts.sum()
    assert (share - 0.1).abs().max() < 0.06  # a fresh policy is near to uniform


def test_environments_that_only_step_by_themselves_have_the_choice_compiled(monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    states = []
    for execution in ("eager", "compiled"):
        env = GymnasiumBridge("CartPole-v1", 2, seed=5)
        agent = agents.make("ppo", env, seed=1, execution=execution, rollout_steps=8, hidden=(4,), minibatches=2)
        list(agent.learn(env, 64))
        states.append(agent.state_dict())
    close(*states)


def test_a_function_is_compiled_once_for_each_shape():
    calls = []

    def double(x):
        calls.append(x.shape)
        return 2 * x, None

    run = PerShape(double, compiled_by("double", "eager"))
    for count in (3, 2, 3, 2, 3):
        assert torch.equal(run(torch.ones(count))[0], torch.full((count,), 2.0))
    assert len(run._programs) == 2


def test_an_eager_step_leaves_choosing_to_the_caller():
    env = make_batched("palaestra/RepeatPrevious-v0", 3)
    env.reset(1)
    step = Interaction(env, lambda observation, memory, start: (observation, memory, start))
    memory, start, outcome = step.step(())
    assert (memory, start.tolist(), outcome.reward.shape) == ((), [True] * 3, (3,))


@pytest.mark.parametrize(
    ("execution", "told"),
    [
        ("fast", "ppo: execution must be one of 'auto', 'eager', 'compiled', 'captured'; got 'fast'"),
        ("captured", "ppo: execution must be 'auto', 'eager' or 'compiled' on cpu"),
    ],
)
def test_a_way_of_running_that_is_not_there_is_refused(execution, told):
    env = make_batched("palaestra/DigitBandit-v0", 2)
    with pytest.raises(InvalidInput, match=told):
        agents.make("ppo", env, execution=execution)
