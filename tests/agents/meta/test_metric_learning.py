"""Prototypical and matching networks: their logits by hand, what they may look at, and naming glyphs never seen."""

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra import agents
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume

NAMES = ["protonet", "matching"]


def glyphs(num_envs, seed=0, **options):
    return make_batched("palaestra/FewShot-v0", num_envs, seed=seed, **{"ways": 3, "shots": 1, **options})


def test_a_class_without_examples_is_as_far_as_the_learned_embedding():
    agent = agents.make("protonet", glyphs(1), embedding=2, rollout_steps=6)
    agent.unseen.data = torch.tensor([5.0, 0.0])
    embedding = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]]])
    label = torch.tensor([[1, 1, 3]])  # the third example has no label
    query = torch.tensor([[[1.0, 1.0]]])
    assert agent.logits(embedding, label, query).tolist() == [[[-17.0, -1.0, -17.0]]]


def test_matching_sums_the_attention_of_each_class():
    agent = agents.make("matching", glyphs(1), embedding=2, rollout_steps=6)
    agent.unseen.data = torch.tensor([0.0, -1.0])
    agent.network.log_scale.data = torch.tensor(2.0).log()
    embedding = torch.tensor([[[3.0, 0.0], [0.0, 2.0], [1.0, 0.0]]])
    logits = agent.logits(embedding, torch.tensor([[0, 0, 1]]), torch.tensor([[[0.0, 4.0]]]))
    wanted = torch.tensor([1 + torch.e**2, 1.0, torch.e**-2])  # twice the cosines 0 and 1; 0; -1
    torch.testing.assert_close(logits[0, 0].softmax(-1), wanted / wanted.sum())


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_an_episode_is_that_of_the_logits_it_acted_on(name):
    env = glyphs(4, seed=2)
    agent = agents.make(name, env, embedding=5, rollout_steps=6)
    env.reset()
    agent.prepare(env)
    (question, labels), _ = agent.collect(env)
    assert (labels < 3).all()  # the end of an episode shows its last label
    losses = []
    for row in range(4):
        points = agent.network.encoder(question[row])
        for time in range(6):
            label = labels[row, :time]
            logits = agent.logits(points[None, :time], label[None], points[None, time : time + 1])[0, 0]
            losses.append(-logits.log_softmax(-1)[labels[row, time]])
    torch.testing.assert_close(agent.loss(question, labels), torch.stack(losses).mean())


@pytest.mark.parametrize("name", NAMES)
def test_acting_compares_with_what_the_episode_has_shown_and_nothing_else(name):
    env = glyphs(4, seed=2)
    agent = agents.make(name, env, embedding=5, rollout_steps=6)
    observation, memory, start, seen, labels = env.reset(), (), env.episode_start, [], []
    for time in range(15):  # into the third episode
        if time % 6 == 0:
            seen, labels = [], []
        else:
            labels.append(observation["label"].argmax(-1))
        action, memory = agent.act(observation, memory, start, greedy=True)
        seen.append(agent.network.encoder(observation["image"]))
        known = torch.stack(labels, 1) if labels else torch.empty(4, 0, dtype=torch.int64)
        embedding = torch.stack(seen[:-1], 1) if labels else torch.empty(4, 0, 5)
        logits = agent.logits(embedding, known, seen[-1].unsqueeze(1))[:, 0]
        assert torch.equal(action, logits.argmax(-1))
        step = env.step(action)
        observation, start = step.observation, step.done


@pytest.mark.parametrize("name", NAMES)
def test_glyphs_of_another_alphabet_are_told_apart_after_one_look(name):
    env = glyphs(64, seed=1, shots=2)
    agent = agents.make(name, env, rollout_steps=9, learning_rate=2e-3)
    list(agent.learn(env, 64 * 9 * 16))
    test = glyphs(128, shots=2, split="test")
    metrics = agents.evaluate(agent, test, 256, seed=10**6).metrics
    assert metrics["shot_2"] > 0.8  # guesses are right once in three


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_equals_the_run_that_was_not_stopped(name):
    check_resume(name, lambda: glyphs(5), 5 * 6 * 4, tasks=3, rollout_steps=6)


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(InvalidInput, match="the steps of a whole episode or trial; got 25, and FewShot"):
        next(agents.make("protonet", glyphs(2)).learn(glyphs(2), 100))
    with pytest.raises(InvalidInput, match="matching: observations must show the answer"):
        agents.Matching(spaces.Dict({"image": spaces.Box(0, 1, (2,))}), spaces.Discrete(2))
