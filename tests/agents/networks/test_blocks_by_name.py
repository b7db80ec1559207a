"""Neural blocks chosen by name: every encoder and every memory learns, acts, and comes back from a checkpoint."""

import math
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import palaestra.agents as agents
import palaestra.envs as envs
import palaestra.neural_blocks as neural_blocks
from palaestra.agents.networks.network import make_encoder
from palaestra.neural_blocks.block_settings import Configured
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.named_blocks import ENCODERS, MEMORIES
from palaestra.neural_blocks.registry import allowing_imports
from palaestra.neural_blocks.sequence.memory import WindowMemory
from palaestra.neural_blocks.sequence.recurrent import GRU, LSTM
from palaestra.tests.agents.core.test_resume import check_resume


def learned(id: str, options: dict, **config: object) -> tuple[agents.Agent, envs.BatchedEnv]:
    env = envs.make_batched(id, 8, **options)
    agent = agents.make("ppo", env, rollout_steps=8, minibatches=2, hidden=(16,), **config)
    before = [parameter.clone() for parameter in agent.parameters]
    reports = list(agent.learn(env, 128))
    assert all(math.isfinite(value) for report in reports for value in report.values())
    assert all(not torch.equal(old, new) for old, new in zip(before, agent.parameters, strict=True))
    return agent, env


def comes_back(agent: agents.Agent, env: envs.BatchedEnv) -> None:
    agent.save("agent.pt")
    again = agents.PPO.load("agent.pt", env.observation_space, env.action_space)
    memory, start = agent.initial_memory(8), torch.ones(8, dtype=torch.bool)
    for _ in range(3):
        (ours, memory), (theirs, _) = (a.act(env.observation, memory, start, greedy=True) for a in (agent, again))
        assert torch.equal(ours, theirs)
        start = env.step(ours).done


SEQ2SEQ = {"seq2seq", "seq2seq_luong", "seq2seq_bottleneck"}


@pytest.mark.parametrize("encoder", sorted(SEQ2SEQ))
def test_every_seq2seq_serves_a_translation(encoder: str) -> None:
    comes_back(*learned("palaestra/Translate-v0", {"words": 2}, encoder=encoder))


def test_a_picture_and_what_is_written_of_it_are_read_together() -> None:
    comes_back(*learned("palaestra/Caption-v0", {}, encoder="picture_reader"))


def test_one_encoder_serves_both_sentences_of_a_pair() -> None:
    comes_back(*learned("palaestra/SentencePair-v0", {"relation": "relatedness"}, encoder="siamese"))


@pytest.mark.parametrize(
    "encoder", sorted({*ENCODERS.names()} - {"nature", "siamese", "picture_reader"} - SEQ2SEQ)
)  # "nature" is for larger images
def test_every_encoder_serves_an_image(encoder: str) -> None:
    comes_back(*learned("palaestra/DigitBandit-v0", {}, encoder=encoder))


@pytest.mark.parametrize("memory", MEMORIES.names())
def test_every_memory_serves_a_sequence(memory: str) -> None:
    options = {"symbols": 2, "delay": 1, "length": 6}
    within = {"memory_span": 4} if issubclass(MEMORIES.load(memory), WindowMemory) else {}  # what an episode lasts for
    comes_back(*learned("palaestra/RepeatPrevious-v0", options, memory=memory, memory_size=8, **within))


@pytest.mark.parametrize("memory", MEMORIES.names())
def test_every_memory_replays_what_it_collected(memory: str) -> None:
    env = envs.make_batched("palaestra/RepeatPrevious-v0", 4, symbols=2, delay=1, length=5)
    agent = agents.make("ppo", env, rollout_steps=16, sequence_length=8, memory=memory, memory_size=8, hidden=(8,))
    env.reset()
    from palaestra.agents.learning.rollout import Collector, sequences

    noise = torch.rand(16, 4, agent.policy.noise)
    rollout, _ = Collector(env, agent.network, agent.policy).collect(agent.initial_memory(4), noise, 8)
    observation, start, action, old = sequences(
        (rollout.observation, rollout.start, rollout.action, rollout.log_prob), 8
    )
    parameters, _, _ = agent.network(observation, tuple(part.flatten(0, 1) for part in rollout.memory), start)
    torch.testing.assert_close(agent.policy.log_prob(parameters, action), old, atol=1e-5, rtol=1e-4)


def test_a_named_block_takes_arguments_of_its_own_and_comes_back_from_a_checkpoint() -> None:
    block = {"norm": "post", "dropout": 0.1, "window": 4}
    agent, env = learned(
        "palaestra/RepeatPrevious-v0", {"symbols": 2, "delay": 1, "length": 6}, memory="transformer", memory_size=8,
        memory_block=block, memory_layers=2,
    )  # fmt: skip
    layers = agent.network.memory.layers
    assert [(layer.pre, layer.dropout.p) for layer in layers] == [(False, 0.1)] * 2
    assert type(layers[0].dropout).__name__ == "Dropout"
    assert int(layers[0].dropout.counter) > 0  # counted, so that a stopped run goes on in the same way
    comes_back(agent, env)
    seen = envs.make_task("palaestra/DigitBandit-v0").observation_space
    encoder = make_encoder(seen, Configured("swin", {"window": 2, "layers": 3}))
    assert len(encoder.network.layers) == 3


def test_dropout_within_a_memory_goes_on_as_if_it_had_not_stopped() -> None:
    check_resume(
        "ppo",
        lambda: envs.make_batched("palaestra/RepeatPrevious-v0", 4, symbols=2, delay=1, length=6, seed=5),
        128,
        memory="transformer",
        memory_size=8,
        memory_block={"dropout": 0.2, "norm": "post"},
        rollout_steps=8,
        minibatches=2,
        hidden=(8,),
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"encoder": "swin", "encoder_block": {"windows": 2}}, "setting of SwinEncoder must be one of .*'window'"),
        ({"encoder": "lenet", "encoder_block": {"layers": 2}}, "LeNetEncoder"),
        ({"memory": "transformer", "memory_block": {"droput": 0.1}}, "did you mean 'dropout'"),
        ({"memory_block": {"dropout": 0.1}}, "memory_block goes with a named memory; memory is None"),
        ({"encoder": nn.Flatten(), "encoder_block": {"a": 1}}, "encoder_block goes with a named encoder"),
    ],
)
def test_arguments_that_a_block_does_not_take_are_refused(settings: dict[str, Any], told: str) -> None:
    env = envs.make_batched("palaestra/DigitBandit-v0", 2)
    with pytest.raises(InvalidInput, match=told):
        agents.make("ppo", env, **settings)


@pytest.mark.parametrize("setting", [{"memory": "gruu"}, {"encoder": "cn"}, {"activation": "tan"}])
def test_an_unknown_block_is_refused(setting: dict[str, str]) -> None:
    (value,) = setting.values()
    with pytest.raises(InvalidInput, match=f"got '{value}'"):
        agents.PPOConfig(**setting)


class Tenth(nn.Module):
    """An encoder of a user's own, known by its path: of images every tenth pixel."""

    def __init__(self, space: spaces.Space) -> None:
        super().__init__()
        self.output_size = len(range(0, int(np.prod(space.shape)), 10))

    @staticmethod
    def serves(space: spaces.Space) -> bool:
        return len(space.shape) == 3

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, ::10] / 255


class Whole(nn.Module):
    """An encoder without `serves`: it gets the whole observation, here a Dict."""

    output_size = 2

    def __init__(self, space: spaces.Dict) -> None:
        super().__init__()
        self.layer = nn.Linear(int(space["seen"].shape[0]), 2)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return self.layer(x["seen"]) + x["symbol"][:, None]


class Sizeless(nn.Module):
    def __init__(self, space: spaces.Space) -> None:
        super().__init__()


class Doubled(GRU):
    """A memory of a user's own."""


HERE = f"{__name__}:"


def test_encoders_and_memories_of_others_go_by_their_path_and_come_back_from_a_file() -> None:
    env = envs.make_batched("palaestra/DigitBandit-v0", 8)
    agent = agents.make("ppo", env, encoder=f"{HERE}Tenth", memory=f"{HERE}Doubled", memory_size=8)
    before = agent.network.memory.input_gates.weight.clone()
    list(agent.learn(env, 256))
    assert not torch.equal(before, agent.network.memory.input_gates.weight)
    assert (agent.config.encoder, agent.config.memory) == (f"{HERE}Tenth", f"{HERE}Doubled")
    assert agent.network.encoder.output_size == agent.network.memory.input_size == 7
    with allowing_imports():
        comes_back(agent, env)
    spaces_, blocks = (env.observation_space, env.action_space), {"encoder": f"{HERE}Tenth"}
    with pytest.raises(InvalidInput, match=r"agent\.pt: names code to import, .*:Doubled"):
        agents.PPO.load("agent.pt", *spaces_, **blocks)  # a file alone never imports
    assert agents.PPO.load("agent.pt", *spaces_, **blocks, memory=f"{HERE}Doubled").steps == agent.steps


def test_a_registered_encoder_and_memory_are_named_in_settings_and_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENCODERS, "_others", {})
    monkeypatch.setattr(MEMORIES, "_others", {})
    neural_blocks.register_encoder("acme/tenth", f"{HERE}Tenth")
    neural_blocks.register_memory("acme/doubled", Doubled)
    env = envs.make_batched("palaestra/DigitBandit-v0", 2)
    agent = agents.make("a2c", env, encoder="acme/tenth", memory="acme/doubled", memory_layers=2)
    assert agent.config.model_dump(mode="json")["memory"] == "acme/doubled"
    assert [type(layer) for layer in agent.network.memory.layers] == [Doubled, Doubled]
    assert "acme/tenth" in agents.PPOConfig.model_json_schema()["properties"]["encoder"]["enum"]
    assert agents.make("maml", envs.make_batched("palaestra/FewShot-v0", 2), encoder="acme/tenth") is not None
    with pytest.raises(InvalidInput, match="did you mean 'acme/tenth'"):
        agents.PPOConfig(encoder="acme/tent")


def test_an_encoder_gets_the_parts_that_it_serves_or_the_whole_observation() -> None:
    image = spaces.Box(0, 255, (1, 8, 8), np.uint8)
    space = spaces.Dict({"seen": spaces.Box(0, 1, (3,)), "symbol": spaces.Discrete(4), "image": image})
    assert make_encoder(space, f"{HERE}Tenth").output_size == 3 + 4 + 7
    seen = {"seen": torch.ones(5, 3), "symbol": torch.arange(5) % 4, "image": torch.zeros(5, 1, 8, 8)}
    assert make_encoder(space, f"{HERE}Whole")(seen).shape == (5, 2)
    with pytest.raises(InvalidInput, match="must have an integer output_size; Sizeless has none"):
        make_encoder(space, f"{HERE}Sizeless")
    with pytest.raises(InvalidInput, match=r"must be a class derived from torch\.nn\.modules\.module\.Module"):
        make_encoder(space, "os.path:join")


def test_the_config_lists_the_blocks_that_there_are() -> None:
    fields = agents.PPOConfig.model_json_schema()["properties"]
    assert set(fields["encoder"]["enum"]) == set(ENCODERS)
    assert set(fields["memory"]["anyOf"][0]["enum"]) == set(MEMORIES)


class Half(nn.Module):
    """An encoder of a user's own: every second pixel of a digit, through a layer."""

    output_size = 12

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 12)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image.flatten(1)[:, ::2] / 255)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ppo", {"memory": GRU(12, 8)}), ("behaviour_cloning", {"memory": LSTM(12, 8)}), ("dqn", {})],
)
def test_blocks_may_be_modules(name: str, settings: dict[str, nn.Module]) -> None:
    env = envs.make_batched("palaestra/DigitBandit-v0", 8)
    blocks = {"encoder": Half(), **settings}
    before = blocks["encoder"].layer.weight.clone()
    agent = agents.make(name, env, hidden=(8,), **({"warmup_steps": 8} if name == "dqn" else {}), **blocks)
    list(agent.learn(env, 512))
    assert torch.equal(blocks["encoder"].layer.weight, before)  # the agent learned in a copy
    assert not torch.equal(agent.network.encoder.layer.weight, before)
    agent.save("agent.pt")
    cls, start = agents.agent_class(name), torch.ones(8, dtype=torch.bool)
    again = cls.load("agent.pt", env.observation_space, env.action_space, **blocks)
    ours, theirs = (a.act(env.observation, a.initial_memory(8), start, greedy=True)[0] for a in (agent, again))
    assert torch.equal(ours, theirs)
    with pytest.raises(InvalidInput, match=r"encoder must be one of .*; got 'Half'"):
        cls.load("agent.pt", env.observation_space, env.action_space)


def test_a_module_that_does_not_fit_is_refused() -> None:
    env = envs.make_batched("palaestra/DigitBandit-v0", 2)
    with pytest.raises(InvalidInput, match="a module must have an integer output_size; Linear has none"):
        agents.make("ppo", env, encoder=nn.Linear(64, 8))
    with pytest.raises(InvalidInput, match="memory: input_size must be the encoder's 12; got 64"):
        agents.make("ppo", env, encoder=Half(), memory=GRU(64, 8))
