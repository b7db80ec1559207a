"""Stable-Baselines3's algorithms as agents: they learn, resume, refuse and draw random numbers like the others."""

import math
from pathlib import Path

import gymnasium.spaces as spaces
import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from palaestra import agents, scenarios
from palaestra.agents.baselines3.config import SB3Config
from palaestra.agents.baselines3.model import Encoder
from palaestra.envs import GymnasiumBridge, make_batched
from palaestra.envs.adapters.sb3 import SB3VecEnv
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume, differ

NAMES = [name for name in agents.names() if name.startswith("sb3:")]
ON_POLICY = ("sb3:A2C", "sb3:PPO")
SMALL = {"policy_kwargs": {"net_arch": [8]}}
REPLAY = {**SMALL, "gradient_steps": 1, "batch_size": 16, "learning_starts": 40, "buffer_size": 400}


def small(name):
    """Settings of a short run."""
    if name == "sb3:A2C":
        return SMALL
    return {**SMALL, "n_steps": 8, "batch_size": 16, "n_epochs": 2} if name == "sb3:PPO" else REPLAY


def test_every_algorithm_of_stable_baselines3_is_an_agent():
    public = vars(stable_baselines3).items()
    known = {name for name, kind in public if isinstance(kind, type) and issubclass(kind, BaseAlgorithm)}
    assert {f"sb3:{name}" for name in known} == set(NAMES)


def test_the_losses_have_the_names_of_the_other_agents(uneven):
    def last(name):
        env = uneven(4)
        return list(agents.make(name, env, **(small(name) if ":" in name else {})).learn(env, 200))[-1]

    assert {"policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "late"} <= set(last("sb3:PPO"))
    assert set(last("a2c")) - {"gradient_norm"} <= set(last("sb3:A2C"))
    assert "value_loss" in last("sb3:DQN")
    assert 0 < last("sb3:A2C")["entropy"] <= math.log(3) + 1e-6


@pytest.mark.parametrize("name", ["sb3:A2C", "sb3:DQN"])
def test_it_learns_what_the_library_by_itself_learns(name, uneven):
    agent, twin = (agents.make(name, uneven(4), seed=2, **small(name)) for _ in range(2))
    list(agent.learn(uneven(4), 200))

    extractor = {"features_extractor_class": Encoder, "features_extractor_kwargs": {"kind": "auto"}}
    settings = {**twin.config.arguments, "policy_kwargs": {**SMALL["policy_kwargs"], **extractor}}
    model = twin.algorithm("MlpPolicy", SB3VecEnv(uneven(4)), device="cpu", **settings)
    model.set_parameters(twin.model.get_parameters())
    model.action_space = twin.model.action_space
    with twin.foreign.in_place():
        model.learn(200)
    assert differ(model.get_parameters(), agent.model.get_parameters()) == []


@pytest.mark.parametrize("name", ["sb3:PPO", "sb3:DQN"])
@pytest.mark.parametrize("id", ["FewShot", "Translate", "Recall", "RepeatPrevious", "Glimpse"])
def test_images_dicts_and_tokens_are_seen(name, id):
    env = make_batched(f"palaestra/{id}-v0", 4)
    agent = agents.make(name, env, **small(name))
    assert list(agent.learn(env, 64))
    assert agent.act(env.observation, greedy=True)[0].shape == (4,)


def test_discrete_parts_and_images_reach_the_encoder_as_in_other_agents():
    space = spaces.Dict({"image": spaces.Box(0, 255, (1, 8, 8), np.uint8), "token": spaces.MultiDiscrete([3, 4])})
    policy = stable_baselines3.DQN.policy_aliases["MultiInputPolicy"](
        space, spaces.Discrete(2), lambda _: 1e-3, features_extractor_class=Encoder,
        features_extractor_kwargs={"kind": "flat"}, normalize_images=False,
    )  # fmt: skip
    seen = {"image": torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8), "token": torch.tensor([[0, 3]] * 5)}
    expected = agents.networks.network.make_encoder(space, "flat")(seen)
    torch.testing.assert_close(policy.q_net.extract_features(seen, policy.q_net.features_extractor), expected)


@pytest.mark.parametrize("name", ["sb3:A2C", "sb3:PPO", "sb3:DQN"])
def test_a_resumed_run_equals_the_run_that_was_not_stopped(name, uneven, monkeypatch):
    monkeypatch.setattr("palaestra.agents.baselines3.agent.REPORT_STEPS", 100)
    agent = check_resume(name, lambda: uneven(4), 480, **small(name))
    assert agent.state_dict()["replay"] is None or agent.model.replay_buffer.full  # the oldest steps made room


@pytest.mark.parametrize("name", ["sb3:DDPG", "sb3:SAC", "sb3:TD3"])
def test_a_continuous_run_resumes_too(name, acting, monkeypatch):
    monkeypatch.setattr("palaestra.agents.baselines3.agent.REPORT_STEPS", 20)  # the first stop is in the warm-up
    check_resume(name, lambda: acting(3, spaces.Box(-1, 3, (2,))), 100, **small(name))


@pytest.mark.parametrize("name", ["sb3:PPO", "sb3:SAC"])
def test_a_run_with_state_dependent_exploration_resumes_too(name, acting, monkeypatch):
    monkeypatch.setattr("palaestra.agents.baselines3.agent.REPORT_STEPS", 30)
    check_resume(name, lambda: acting(3, spaces.Box(-1, 3, (2,))), 120, use_sde=True, **small(name))


def test_a_run_on_dict_observations_and_one_through_the_bridge_resume(monkeypatch):
    monkeypatch.setattr("palaestra.agents.baselines3.agent.REPORT_STEPS", 40)
    check_resume("sb3:DQN", lambda: make_batched("palaestra/TabularMDP-v0", 4), 160, **REPLAY)
    check_resume("sb3:PPO", lambda: GymnasiumBridge("CartPole-v1", 2, seed=5), 80, **small("sb3:PPO"))


@pytest.mark.parametrize("name", ["sb3:PPO", "sb3:SAC"])
def test_the_callers_global_generators_are_untouched_and_do_not_matter(name, acting):
    def run(seed):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        env = acting(4, spaces.Box(-1, 3, (2,)))
        agent = agents.make(name, env, seed=1, **small(name))
        reports = list(agent.learn(env, 120))
        agent.act(env.observation)
        after = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]  # noqa: NPY002
        assert torch.equal(before[0], after[0])
        np.testing.assert_equal(before[1], after[1])
        return reports

    assert run(1) == run(2)


def test_schedules_see_the_whole_run(uneven, monkeypatch):
    monkeypatch.setattr("palaestra.agents.baselines3.agent.REPORT_STEPS", 100)
    env = uneven(4)
    agent = agents.make("sb3:DQN", env, anneal=True, learning_rate=0.1, exploration_fraction=0.5, **REPLAY)
    reports = list(agent.learn(env, 400))
    assert [report["exploration_rate"] for report in reports] == pytest.approx([1 - 0.95 / 2, 0.05, 0.05, 0.05])
    assert [report["learning_rate"] for report in reports] == pytest.approx([0.075, 0.05, 0.025, 0])


def test_the_report_counts_what_the_environments_gave(clock):
    env = clock(2, 4, 9)
    agent = agents.make("sb3:PPO", env, **{**small("sb3:PPO"), "n_steps": 6})
    found = [(r["steps"], r["episodes"], r.get("return"), r.get("length")) for r in agent.learn(env, 24)]
    assert found == [(12, 2, 4, 4), (24, 4, 4, 4)]


def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not(clock):
    def replay(end, horizon):
        env = clock(2, end, horizon)
        agent = agents.make("sb3:DQN", env, **REPLAY)
        list(agent.learn(env, 12))
        buffer = agent.model.replay_buffer
        assert buffer.next_observations[:6, 0, 0].tolist() == [1, 2, 3, 1, 2, 3]  # the final observation is kept
        assert buffer.dones[:6, 0].tolist() == [0, 0, 1, 0, 0, 1]
        return buffer.timeouts[:6, 0].tolist()

    assert replay(3, 9) == [0, 0, 0, 0, 0, 0]
    assert replay(9, 3) == [0, 0, 1, 0, 0, 1]


def test_learning_goes_on_in_another_number_of_environments_with_an_empty_replay(clock):
    agent = agents.make("sb3:DQN", clock(2, 4, 9), **REPLAY)
    list(agent.learn(clock(2, 4, 9), 60))
    learned = agent.act(torch.zeros(1, 1), greedy=True)[0]
    reports = list(agent.learn(clock(3, 4, 9), 60 + 9))
    assert [report["steps"] for report in reports] == [69]
    assert (agent.model.replay_buffer.size(), agent.model.n_envs, agent.model._n_updates > 0) == (3, 3, True)
    assert torch.equal(agent.act(torch.zeros(1, 1), greedy=True)[0], learned)


def test_episodes_that_somebody_reset_are_not_joined_in_replay(clock):
    agent = agents.make("sb3:DQN", clock(2, 9, 9), **REPLAY, n_steps=3)
    list(agent.learn(clock(2, 9, 9), 4))
    list(agent.learn(clock(2, 9, 9), 8))
    buffer = agent.model.replay_buffer
    assert buffer.timeouts[:4, 0].tolist() == [0, 1, 0, 0]


def test_bad_input_is_refused_in_one_line(acting, uneven):
    def refused(call, *parts):
        with pytest.raises(InvalidInput) as refusal:
            call()
        assert "\n" not in str(refusal.value)
        assert all(part in str(refusal.value) for part in parts), str(refusal.value)

    refused(lambda: agents.make("sb3:PPPO", uneven(2)), "did you mean 'sb3:PPO'")
    refused(lambda: agents.make("sb3:PPO", uneven(2), n_step=4), "SB3PPOConfig", "'n_step'", "did you mean 'n_steps'")
    refused(lambda: agents.make("sb3:DQN", uneven(2), n_epochs=4), "SB3DQNConfig", "'n_epochs'")
    refused(lambda: agents.make("sb3:PPO", uneven(2), seed=1, device="cpu"), "'device'")
    refused(lambda: agents.make("sb3:PPO", uneven(2), learning_rate="fast"), "learning_rate", "'fast'")
    refused(lambda: agents.make("sb3:PPO", uneven(2), gamma=1.5), "gamma", "1.5")
    refused(lambda: agents.make("sb3:DQN", uneven(2), train_freq=(1, "episode")), "train_freq", "episode")
    refused(lambda: agents.make("sb3:PPO", uneven(2), policy_kwargs={"arch": [8]}), "PPO", "'arch'")
    refused(lambda: agents.make("sb3:PPO", uneven(2), use_sde=True), "use_sde", "Discrete(3)")
    refused(lambda: agents.make("sb3:SAC", uneven(2)), "sb3:SAC", "must be Box", "Discrete(3)")
    refused(lambda: agents.make("sb3:DQN", acting(2, spaces.Box(0, 1, (2,)))), "must be Discrete", "Box")
    refused(lambda: agents.make("sb3:SAC", acting(2, spaces.Box(0, np.inf, (2,)))), "bounded Box")
    refused(lambda: agents.make("sb3:PPO", acting(2, spaces.Discrete(3, start=1))), "count from 0", "start=1")
    refused(lambda: agents.make("sb3:PPO", acting(2, spaces.MultiBinary([2, 2]))), "flat")


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_survives_a_file_and_holds_every_plain_parameter(name):
    kind = agents.agent_class(name).Config
    assert issubclass(kind, SB3Config)
    changed = kind(learning_rate=0.5, policy_kwargs={"net_arch": [4]})
    assert kind(**changed.model_dump(mode="json")) == changed
    assert {"gamma", "policy_kwargs", "encoder"} <= set(kind.model_fields)
    assert not {"env", "seed", "verbose", "replay_buffer_class"} & set(kind.model_fields)


def test_ppo_tells_irises_apart_that_it_never_saw():
    env = make_batched("palaestra/TabularBandit-v0", 32)
    agent = agents.make("sb3:PPO", env, learning_rate=3e-3, batch_size=256, n_epochs=4)
    list(agent.learn(env, 12_000))
    test = make_batched("palaestra/TabularBandit-v0", 50, split="test")
    assert agents.evaluate(agent, test, 500, seed=9).returns.mean() > 0.85  # a third by chance


@pytest.mark.parametrize(
    ("name", "scenario"),
    [("sb3:A2C", "tabular"), ("sb3:DQN", "tabular"), ("sb3:PPO", "tabular"), ("sb3:SAC", "calibrate")],
)
def test_a_run_becomes_a_row_of_the_leaderboard(name, scenario):
    row = scenarios.run(scenario, name, steps=500, root="runs", settings=small(name), device="cpu")
    assert (row.agent, row.steps >= 500) == (name, True)
    assert Path(row.folder).parent == Path("runs") / scenario / name.replace(":", "-")  # a colon is no name on Windows
    assert [standing.agent for standing in scenarios.leaderboard(scenario, root="runs")] == [name]
