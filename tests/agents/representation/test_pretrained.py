"""Agents take an encoder from a file: as it is, bit for bit, and without the file from then on."""

import os

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

import palaestra.envs as envs
from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.agents.networks.network import from_recipe, make_encoder
from palaestra.agents.networks.pretrained import EncoderFile, Recipe, read_recipe, write_encoder
from palaestra.neural_blocks.errors import InvalidInput

IMAGES = spaces.Box(0, 255, (1, 8, 8), np.uint8)
SETTINGS = {
    "ppo": {"rollout_steps": 4, "minibatches": 2},
    "a2c": {"rollout_steps": 4},
    "dqn": {"warmup_steps": 8, "batch_size": 8, "rollout_steps": 4},
    "behaviour_cloning": {"rollout_steps": 4, "updates": 1, "minibatch_size": 16},
}


@pytest.fixture
def fitted():
    """A written encoder, "encoder.pt", and the module."""
    recipe = Recipe(encoder="cnn", method="simclr")
    encoder = from_recipe(IMAGES, recipe)
    write_encoder("encoder.pt", encoder, recipe, IMAGES)
    return encoder


def digits(rows=4, **options):
    return envs.make_batched("palaestra/DigitBandit-v0", rows, **options)


def test_an_encoder_is_read_as_it_was_written(fitted):
    recipe = read_recipe("encoder.pt")
    assert (recipe.encoder, recipe.method) == ("cnn", "simclr")
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    read = make_encoder(IMAGES, EncoderFile("encoder.pt", recipe))
    assert torch.equal(read(images), fitted(images))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("freeze", [True, False])
def test_an_agent_begins_with_the_file_s_weights_and_leaves_frozen_ones_alone(name, freeze, fitted):
    env = digits()
    agent = agents.make(name, env, encoder="encoder.pt", freeze=freeze, hidden=(8,), **SETTINGS[name])
    held = agent.network.encoder
    assert all(torch.equal(part, fitted.state_dict()[key]) for key, part in held.network.state_dict().items())
    head = {key: part.clone() for key, part in agent.network.state_dict().items() if not key.startswith("encoder")}
    agent.train(env, 64)
    same = [torch.equal(part, fitted.state_dict()[key]) for key, part in held.network.state_dict().items()]
    assert all(same) if freeze else not any(same)
    assert any(not torch.equal(part, agent.network.state_dict()[key]) for key, part in head.items())
    assert held.training is False


def test_a_frozen_encoder_stays_in_evaluation_mode(fitted):
    held = make_encoder(IMAGES, EncoderFile("encoder.pt", read_recipe("encoder.pt")), freeze=True)
    assert not held.train().training
    assert not any(module.training for module in held.modules())
    assert make_encoder(IMAGES, "cnn", freeze=False).train().training
    assert not any(one.requires_grad for one in make_encoder(IMAGES, "cnn", freeze=True).parameters())


def test_a_saved_agent_needs_the_file_no_more(fitted):
    env = digits(8)
    agent = agents.make("ppo", env, encoder="encoder.pt", freeze=True, hidden=(8,), **SETTINGS["ppo"])
    agent.train(env, 64)
    agent.save("agent.pt")
    os.remove("encoder.pt")
    again = agents.PPO.load("agent.pt", env.observation_space, env.action_space)
    assert torch.equal(again.network(*seen(env))[0], agent.network(*seen(env))[0])
    again.train(env, 64)
    fresh = agents.PPO(env.observation_space, env.action_space, again.config)
    with pytest.raises(InvalidInput, match=r"encoder\.pt: the file is gone or another one now"):
        fresh.act(env.observation)


def seen(env):
    env.reset(3)
    return env.observation[None], (), env.episode_start[None]


def test_a_file_that_was_written_anew_is_not_taken_for_the_one_of_before(fitted):
    config = agents.PPO.Config(encoder="encoder.pt")
    write_encoder("encoder.pt", from_recipe(IMAGES, Recipe(encoder="cnn")), Recipe(encoder="cnn"), IMAGES)
    env = digits()
    with pytest.raises(InvalidInput, match="another one now"):
        agents.PPO(env.observation_space, env.action_space, config).act(env.reset(0))


def test_of_a_dict_the_part_it_was_fitted_on_is_encoded(fitted):
    env = digits(4, flag=True, domain="mixed", target="inked")
    agent = agents.make("ppo", env, encoder="encoder.pt", freeze=True, **SETTINGS["ppo"])
    agent.train(env, 32)
    assert agent.network.encoder.output_size == fitted.output_size + 2
    image = env.observation["image"]
    assert torch.equal(agent.network.encoder(env.observation)[:, 2:], fitted(image))


def test_compiled_iterations_are_those_of_eager_ones(fitted, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    results, settings = [], {"encoder": "encoder.pt", "freeze": True, "hidden": (8,), "rollout_steps": 4}
    for execution in ("eager", "compiled"):
        env = digits()
        agent = agents.make("a2c", env, execution=execution, **settings)
        agent.train(env, 32)
        results.append(agent.network.state_dict())
    assert all(torch.allclose(part, results[1][key], atol=1e-6) for key, part in results[0].items())


@pytest.mark.parametrize(
    ("id", "config", "told"),
    [
        ("DigitBandit", {"encoder": "nowhere.pt"}, "nowhere.pt: no such checkpoint"),
        ("DigitBandit", {"encoder": "agent.pt"}, "agent.pt: must be an encoder's file"),
        ("DigitBandit", {"encoder": "text.pt"}, "text.pt: not a readable checkpoint"),
        ("DigitBandit", {"encoder": "encoder.pt", "encoder_depth": 2}, "encoder_depth: encoder must be one of vgg"),
        (
            "Glimpse",
            {"encoder": "encoder.pt"},
            r"encoder encoder.pt: reads Box\(0, 255, \(1, 8, 8\).*; the observation",
        ),
        ("NextSymbol", {"encoder": "encoder.pt"}, r"the observation here is Discrete\(4\)"),
        ("DigitBandit", {"encoder": "cnn", "pretrained": {"encoder": "cnn"}}, "pretrained tells of the encoder's file"),
    ],
)
def test_wrong_files_shapes_and_modalities_are_refused_in_one_line(id, config, told, fitted):
    env = envs.make_batched(f"palaestra/{id}-v0", 2)
    agents.make("random", env).save("agent.pt")
    with open("text.pt", "w") as file:
        file.write("nothing")
    with pytest.raises(InvalidInput, match=told) as refused:
        agents.make("ppo", env, **config)
    assert "\n" not in str(refused.value)


def test_a_file_may_not_name_code_to_import(fitted):
    write_encoder("other.pt", fitted, Recipe(encoder="os:path"), IMAGES)
    with pytest.raises(InvalidInput, match="names code to import, 'os:path'"):
        read_recipe("other.pt")


def test_who_judges_pairs_reads_observations_through_the_file_s_encoder(fitted):
    env = digits()
    agent = agents.make("gail", env, encoder="encoder.pt", freeze=True, hidden=(8,))
    pairs = agent.discriminator[0]
    inner = dict(zip(pairs.names, pairs.parts, strict=True))["observation"].network
    assert all(torch.equal(part, fitted.state_dict()[key]) for key, part in inner.state_dict().items())
    assert pairs.output_size == fitted.output_size + 10
