"""The value-based agents: every space they claim, what they learn, and exact resume."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.envs import GymnasiumBridge, make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume

SMALL = {"hidden": (8,), "batch_size": 16, "warmup_steps": 10, "rollout_steps": 4, "updates": 2}
RECURRENT = {"memory": "gru", "memory_size": 6, "sequence_length": 4}
TABLE = {"rollout_steps": 4}


def lake(num_envs):
    return GymnasiumBridge("FrozenLake-v1", num_envs, seed=5)


@pytest.mark.parametrize(
    ("name", "config", "make_env"),
    [
        ("dqn", SMALL | {"dueling": True, "n_step": 3}, lambda uneven, acting: uneven(5)),
        ("dqn", SMALL | RECURRENT | {"n_step": 2}, lambda uneven, acting: uneven(5)),
        ("dqn", SMALL | RECURRENT | {"memory": "transformer", "memory_size": 8}, lambda uneven, acting: uneven(5)),
        ("dqn", SMALL | {"exploration": "boltzmann", "capacity": 40}, lambda uneven, acting: lake(5)),
        ("sac", SMALL, lambda uneven, acting: acting(5, spaces.Box(-1, 3, (2,)))),
        ("q_table", TABLE, lambda uneven, acting: lake(5)),
    ],
)
def test_a_resumed_run_equals_the_run_that_was_not_stopped(name, config, make_env, uneven, acting):
    check_resume(name, lambda: make_env(uneven, acting), 160, **config)


@pytest.mark.parametrize(
    ("id", "options"),
    [
        ("palaestra/TabularBandit-v0", {}),  # a Box of features
        ("palaestra/DigitBandit-v0", {}),  # images
        ("palaestra/RepeatPrevious-v0", {}),  # Discrete
        ("palaestra/BernoulliBandit-v0", {}),  # a Dict of parts
    ],
)
@pytest.mark.parametrize("extra", [{}, RECURRENT], ids=["feed-forward", "recurrent"])
def test_dqn_serves_every_observation(id, options, extra):
    env = make_batched(id, 6, **options)
    agent = agents.make("dqn", env, **SMALL, **extra)
    reports = list(agent.learn(env, 480))
    assert all(np.isfinite(list(report.values())).all() for report in reports)
    assert {"steps", "episodes", "return", "length", "value_loss", "value"} <= set().union(*reports)
    action, _ = agent.act(env.observation)
    assert all(env.action_space.contains(a) for a in action.numpy())


@pytest.mark.parametrize("space", [spaces.Discrete(4), spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(3)])
def test_dqn_and_sac_see_what_is_no_box(space):
    values = torch.as_tensor(np.stack([space.sample() for _ in range(5)])).long()
    for name, actions in (("dqn", spaces.Discrete(3, start=7)), ("sac", spaces.Box(-2, 1, (2, 2)))):
        cls = agents.agent_class(name)
        action, _ = cls(space, actions).act(values)
        assert all(actions.contains(row) for row in action.numpy())


@pytest.mark.parametrize("space", [spaces.Box(-1, 3, (1, 2))])
def test_sac_learns_to_act_in_a_box(space, acting):
    env = acting(16, space)
    agent = agents.make("sac", env, learning_rate=1e-2, batch_size=64, updates=2, warmup_steps=200, hidden=(32,))
    reports = list(agent.learn(env, 2400))
    assert agents.evaluate(agent, acting(32, space), 200, seed=9).returns.mean() > 0.8
    assert {"return", "length", "episodes", "policy_loss", "value_loss", "entropy", "temperature"} <= set(reports[-1])


@pytest.mark.parametrize(
    "config",
    [{}, {"dueling": True, "double": False}, {"exploration": "boltzmann", "temperature": 0.2}],
    ids=["double", "dueling", "boltzmann"],
)
def test_dqn_solves_a_contextual_bandit(config, acting):
    env = acting(16, spaces.Discrete(2))
    agent = agents.make("dqn", env, hidden=(32,), updates=2, warmup_steps=100, learning_rate=3e-3, **config)
    list(agent.learn(env, 2400))
    assert agents.evaluate(agent, acting(50, spaces.Discrete(2)), 200, seed=9).returns.mean() == 1.0


def test_a_recurrent_dqn_repeats_the_previous_symbol():
    make = lambda num_envs: make_batched("palaestra/RepeatPrevious-v0", num_envs, symbols=2, delay=1, length=8)  # noqa: E731
    env = make(16)
    agent = agents.make(
        "dqn", env, memory="gru", memory_size=16, hidden=(32,), rollout_steps=16, sequence_length=8, updates=8,
        learning_rate=3e-3, target_rate=0.05, gamma=0.5,
    )  # fmt: skip
    list(agent.learn(env, 8_000))
    assert agents.evaluate(agent, make(50), 200, seed=9).returns.mean() > 0.8  # without a memory 0


@pytest.mark.parametrize(("end", "horizon", "discount"), [(3, 9, 0.0), (9, 3, 0.9)])
def test_replay_holds_the_final_observation_and_only_what_terminates_ends_the_value(end, horizon, discount, clock):
    agent = agents.make("dqn", clock(8, end, horizon), **SMALL, gamma=0.9)
    list(agent.learn(clock(8, end, horizon), 160))
    batch = agent.draw(agent.replay)
    time, following = batch.observation[0, :, 0], batch.next_observation[0, :, 0]
    assert set(time.tolist()) == {0.0, 1.0, 2.0}
    assert torch.equal(following, time + 1)  # 3 at the end, not the 0 of the next episode
    assert batch.discount[0].tolist() == pytest.approx([discount if t == 2 else 0.9 for t in time])
    assert batch.start[0].tolist() == [t == 0 for t in time]


def test_learning_goes_on_in_another_number_of_environments(uneven):
    agent = agents.make("dqn", uneven(3), **SMALL, **RECURRENT)
    list(agent.learn(uneven(3), 36))
    list(agent.learn(uneven(5), 36 + 60))
    assert agent.replay.num_envs == 5
    assert len(agent.replay) == 60


def test_spaces_that_an_agent_does_not_serve_are_refused():
    box, number = spaces.Box(0, 1, (2,), np.float32), spaces.Discrete(3)
    for name, observation, action, message in (
        ("dqn", box, box, "dqn: action space must be Discrete or MultiDiscrete; got Box"),
        ("sac", box, number, "sac: action space must be Box; got Discrete"),
        ("q_table", box, number, "q_table: observation space must be Discrete; got Box"),
        ("sac", box, spaces.Box(-np.inf, np.inf, (2,)), "sac: action space must be a bounded Box; got Box"),
    ):
        with pytest.raises(InvalidInput, match=message):
            agents.agent_class(name)(observation, action)


def test_rollout_steps_that_are_no_multiple_of_the_sequence_are_refused(uneven):
    with pytest.raises(
        InvalidInput, match=r"rollout_steps must be a multiple of sequence_length 4; got .*'rollout_steps': 6"
    ):
        agents.make("dqn", uneven(2), memory="gru", sequence_length=4, rollout_steps=6)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("dqn", "n_step", 0), ("dqn", "epsilon_end", 1.5), ("dqn", "target_rate", 0), ("dqn", "temperature", 0),
        ("dqn", "exploration", "greedy"), ("sac", "capacity", 0), ("sac", "updates", 0), ("sac", "gamma", 1.1),
        ("q_table", "decay", -0.1), ("q_table", "learning_rate", 1.5), ("q_table", "exploration_fraction", 2),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(name, setting, value):
    with pytest.raises(InvalidInput, match=rf"{setting} .*got '?{value}"):
        agents.agent_class(name).Config(**{setting: value})
