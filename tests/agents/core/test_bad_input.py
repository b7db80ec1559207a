"""Bad input is refused in one line that names the value and what is allowed; a checkpoint is never half written."""

import pickle
import re
from pathlib import Path

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents import PPO, A2CConfig, Expert, PPOConfig, Random
from palaestra.agents.core.checkpoint import read_checkpoint, write_checkpoint
from palaestra.envs import make_batched
from palaestra.envs.checks import room
from palaestra.neural_blocks.errors import InvalidInput


def refused(call, *parts):
    """Calls, and checks that the refusal is one line that holds all parts."""
    with pytest.raises(InvalidInput) as refusal:
        call()
    message = str(refusal.value)
    assert "\n" not in message
    assert len(message) < 700
    for part in parts:
        assert part in message, message
    return message


@pytest.fixture
def saved(uneven):
    """A small PPO agent saved to agent.pt."""
    agent = agents.make("ppo", uneven(3), hidden=(8,), rollout_steps=5)
    list(agent.learn(uneven(3), 15))
    agent.save("agent.pt")
    return agent


def load(agent, cls=PPO):
    return lambda: cls.load("agent.pt", agent.observation_space, agent.action_space)


def test_an_unknown_agent_is_refused_with_the_nearest_name(uneven):
    refused(lambda: agents.make("pppo", uneven(2)), "'pppo'", "did you mean 'ppo'", "'protonet'")
    refused(lambda: agents.agent_class("zzz"), "'zzz'", "'ppo'")


@pytest.mark.parametrize("name", agents.names())
def test_an_unknown_setting_is_refused_with_the_nearest_name(name, uneven):
    refused(lambda: agents.make(name, uneven(2), learning_rat=1), "'learning_rat'")
    refused(lambda: agents.make("ppo", uneven(2), minibatch=1), "'minibatch'", "did you mean 'minibatches'")
    refused(lambda: PPOConfig(epoch=3), "PPOConfig", "'epoch'", "did you mean 'epochs'")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", "fast"),
        ("gamma", 1.5),
        ("gae_lambda", -0.1),
        ("rollout_steps", 0),
        ("rollout_steps", 2.5),
        ("memory", "gru2"),
        ("memory_size", 0),
        ("activation", "swish"),
        ("encoder", "resnet"),
        ("hidden", "wide"),
        ("hidden", (8, 0)),
        ("max_grad_norm", -1),
        ("minibatches", 0),
        ("clip", 0),
        ("epochs", None),
    ],
)
def test_a_wrong_value_is_refused_by_name(setting, value, uneven):
    shown = "nan" if value != value else repr(value) if isinstance(value, str) else str(value).strip("()")
    refused(lambda: agents.make("ppo", uneven(2), **{setting: value}), shown)


@pytest.mark.parametrize("name", agents.names())
def test_truth_values_and_huge_numbers_are_refused_in_every_setting_that_is_a_number(name, uneven):
    config = agents.agent_class(name).Config
    for key, field in config.model_fields.items():
        if "bool" not in str(field.annotation):
            refused(lambda key=key: config(**{key: True}), key)
        if "int" in str(field.annotation) and "float" not in str(field.annotation):
            for value in (10**9 + 1, 10**30, 10**4400, 1e30):
                refused(lambda key=key, value=value: config(**{key: value}), key)


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        ("ppo", {"hidden": (10**6, 10**6)}, "ppo: a network of widths 1000000, 1000000 needs about"),
        ("ppo", {"rollout_steps": 10**6}, "ppo: rollout_steps 1000000 needs about"),
        ("ppo", {"memory": "gru", "memory_size": 65_536}, "needs about"),
        ("dqn", {"capacity": 10**9}, "dqn: capacity 1000000000 needs about"),
        ("dagger", {"capacity": 10**9}, "dagger: capacity 1000000000 needs about"),
        ("sb3:DQN", {"buffer_size": 10**6}, "sb3:DQN: buffer_size 1000000 needs about"),
    ],
)
def test_more_than_memory_holds_is_refused_before_it_is_taken(name, setting, told, uneven, monkeypatch):
    monkeypatch.setattr(room, "free_memory", lambda device: 2.0**25)
    agents.make(name, uneven(2), **({"capacity": 1000} if name in ("dqn", "dagger") else {}))
    refused(lambda: agents.make(name, uneven(2), **setting), told, "32.0 MiB are free on cpu")


@pytest.mark.parametrize("steps", [float("inf"), float("nan"), "x", -1, 1e3, True, [1], 10**30])
@pytest.mark.parametrize(
    "name", ["ppo", "dqn", "reinforce", "dagger", "behaviour_cloning", "gail", "iql", "sb3:PPO", "sb3:DQN"]
)
def test_steps_that_are_no_whole_number_are_refused(name, steps, uneven):
    refused(lambda: list(agents.make(name, uneven(2)).learn(uneven(2), steps)), f"{name}: steps must be a whole number")


@pytest.mark.parametrize("wrong", [1.5, "x", None, True, [0], 2**62 + 1, 10**4400], ids=range(7))
def test_seeds_and_episodes_that_are_no_whole_number_are_refused(wrong, uneven):
    refused(lambda: agents.make("random", uneven(2), seed=wrong), "random: seed must be a whole number")
    agent = agents.make("random", uneven(2))
    refused(lambda: agents.evaluate(agent, uneven(2), wrong), "evaluate: episodes must be a whole number")
    if wrong is not None:
        refused(lambda: agents.evaluate(agent, uneven(2), 1, seed=wrong), "evaluate: seed must be a whole number")


def test_numbers_of_numpy_are_numbers(uneven):
    agent = agents.make("ppo", uneven(2), seed=np.int64(3), rollout_steps=np.int64(4), hidden=(np.int64(8),))
    assert len(list(agent.learn(uneven(2), np.int32(16)))) == 2
    assert len(agents.evaluate(agent, uneven(2), np.int64(4), seed=np.uint8(1)).returns) == 4


@pytest.mark.parametrize("device", ["meta", "x", 3, None])
def test_a_device_that_cannot_hold_values_is_refused(device):
    box = spaces.Box(0, 1, (2,))
    refused(lambda: PPO(box, spaces.Discrete(2), device=device), "ppo: device must be 'cpu' or one that PyTorch finds")


def test_a_config_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        PPOConfig().gamma = 0.5


def test_rollout_steps_that_are_no_multiple_of_the_sequence_are_refused(uneven):
    make = lambda: agents.make("a2c", uneven(2), memory="gru", rollout_steps=10, sequence_length=4)  # noqa: E731
    refused(make, "A2CConfig", "rollout_steps", "multiple of sequence_length 4", "10")


def test_spaces_that_no_agent_serves_are_refused():
    text, box = spaces.Text(5), spaces.Box(0, 1, (2,))
    refused(lambda: PPO(text, spaces.Discrete(2)), "observation space must be Box, Discrete", "Text")
    refused(lambda: PPO(box, text), "action space must be Discrete, MultiDiscrete, MultiBinary or Box", "Text")


def test_environments_of_other_spaces_are_refused(uneven, clock, acting):
    agent = agents.make("ppo", uneven(2))
    refused(lambda: next(agent.learn(clock(2, 3, 3), 10)), "ppo", "observation_space must be Box", "Clock has Box")
    refused(lambda: agents.evaluate(agent, clock(2, 3, 3), 4), "ppo", "Clock")
    expert = agents.make("expert", acting(2, spaces.Discrete(2)))
    refused(
        lambda: expert.attach(acting(2, spaces.Discrete(3))), "expert", "action_space", "Discrete(2)", "Discrete(3)"
    )
    assert agents.evaluate(expert, acting(2, spaces.Discrete(2)), 2).returns.tolist() == [1, 1]


def test_an_expert_that_is_attached_to_nothing_says_so():
    expert = Expert(spaces.Discrete(2), spaces.Discrete(2))
    refused(lambda: expert.act(torch.zeros(3)), "Expert", "attach(env)")


def test_an_evaluation_of_no_episodes_is_refused(uneven):
    refused(
        lambda: agents.evaluate(agents.make("random", uneven(2)), uneven(2), 0),
        "episodes must be a whole number from 1",
        "0",
    )


def test_a_missing_checkpoint_is_refused(saved):
    Path("agent.pt").unlink()
    refused(load(saved), "agent.pt", "no such checkpoint")


def test_a_folder_instead_of_a_checkpoint_is_refused(saved):
    Path("agent.pt").unlink()
    Path("agent.pt").mkdir()
    refused(load(saved), "agent.pt", "not a readable checkpoint")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(saved, kept):
    content = Path("agent.pt").read_bytes()
    Path("agent.pt").write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    refused(load(saved), "agent.pt", "not a readable checkpoint")


def test_random_bytes_are_refused(saved):
    for seed in range(5):
        noise = torch.randint(256, (3000,), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        Path("agent.pt").write_bytes(noise.numpy().tobytes())
        refused(load(saved), "agent.pt", "not a readable checkpoint")


class Code:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("write", [lambda content, file: pickle.dump(content, file, protocol=2), torch.save])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(saved, write):
    with open("agent.pt", "wb") as file:
        write({"agent": "ppo", "config": {}, "spaces": {}, "state": Code()}, file)
    refused(load(saved), "agent.pt", "not a readable checkpoint")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"a": 1}, torch.zeros(3), {"agent": "ppo", "config": [], "spaces": {}, "state": {}}]
)
def test_a_file_of_other_tensors_is_refused(saved, content):
    write_checkpoint("agent.pt", content)
    refused(load(saved), "agent.pt", "not a checkpoint of this suite", "agent, config, spaces, state")


@pytest.mark.parametrize("name", ["a2c", "random"])
def test_the_checkpoint_of_another_agent_is_refused(saved, name):
    message = refused(load(saved, agents.agent_class(name)), "agent.pt", f"agent must be {name!r}", "got 'ppo'")
    assert "key" not in message


def test_the_checkpoint_of_another_environment_is_refused(saved):
    digits = make_batched("palaestra/DigitBandit-v0", 1)
    refused(
        lambda: PPO.load("agent.pt", digits.observation_space, digits.action_space),
        "checkpoint of another environment",
        "observation space must be Box",
        "(1, 8, 8)",
        "(2,)",
    )
    refused(
        lambda: PPO.load("agent.pt", saved.observation_space, spaces.Discrete(4)),
        "action space must be Discrete(4)",
        "got Discrete(3)",
    )


def test_the_checkpoint_of_other_layer_sizes_is_refused(saved, uneven):
    other = agents.make("ppo", uneven(3), hidden=(9,), rollout_steps=5)
    refused(lambda: other.restore(read_checkpoint("agent.pt"), "agent.pt"), "agent.pt", "does not fit", "size mismatch")
    deeper = agents.make("ppo", uneven(3), hidden=(8, 8), rollout_steps=5)
    refused(lambda: deeper.restore(read_checkpoint("agent.pt"), "agent.pt"), "agent.pt", "does not fit")


@pytest.mark.parametrize("part", ["randomness", "network", "optimiser", "memory", "episodes", "steps"])
def test_a_checkpoint_without_one_of_its_parts_is_refused(saved, uneven, part):
    content = read_checkpoint("agent.pt")
    del content["state"][part]
    write_checkpoint("agent.pt", content)
    refused(load(saved), "agent.pt", "does not fit this agent", part)
    content["state"][part] = "nonsense" if part != "steps" else None
    if part != "steps":
        refused(lambda: agents.make("ppo", uneven(3), hidden=(8,)).restore(content, "agent.pt"), "agent.pt")


def test_a_save_that_fails_half_way_leaves_the_old_checkpoint(saved, uneven, monkeypatch):
    old = Path("agent.pt").read_bytes()

    def full(content, file):
        file.write(b"some bytes of a checkpoint")
        raise OSError(28, "No space left on device")

    list(saved.learn(uneven(3), 60))
    with monkeypatch.context() as disk:
        disk.setattr(torch, "save", full)
        for name in ("agent.pt", "new.pt"):
            with pytest.raises(OSError, match="No space left"):
                saved.save(name)
    assert Path("agent.pt").read_bytes() == old
    assert [path.name for path in Path().iterdir()] == ["agent.pt"]
    assert load(saved)().steps == 15


def test_every_agent_is_made_by_its_name(uneven):
    assert {"a2c", "behaviour_cloning", "dagger", "expert", "ppo", "random"} <= set(agents.names())
    assert set(agents.names()) == set(agents.summaries())
    for name in agents.names():
        cls = agents.agent_class(name)
        assert cls.name == name
        assert re.fullmatch(r"[^\n]{20,100}\.", agents.summaries()[name])
    assert isinstance(agents.make("random", uneven(2)), Random)
    assert agents.make("a2c", uneven(2), gamma=0.5).config == A2CConfig(gamma=0.5)
