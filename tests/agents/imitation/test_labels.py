"""What cloning makes of its labels: focal loss, mixtures, changed images; resumed and captured."""

import gymnasium.spaces as spaces
import pytest
import torch
import torch.nn.functional as F

from palaestra import agents
from palaestra.agents.core.config import AgentConfig
from palaestra.agents.networks.distributions import Categorical
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import check_captured

SMALL = {"hidden": (4,), "rollout_steps": 2, "updates": 2, "minibatch_size": 8, "encoder": "flat"}


def digits():
    return make_batched("palaestra/DigitBandit-v0", 4, seed=5)


def agent_and_batch(**settings):
    env = digits()
    agent = agents.make("behaviour_cloning", env, seed=1, **SMALL, **settings)
    assert isinstance(agent.config, AgentConfig)
    seen, start = env.reset(1).unsqueeze(0), torch.ones(1, 4, dtype=torch.bool)
    return agent, (seen, start, torch.tensor([[3, 1, 4, 1]]), ())


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_focal_loss_weighs_by_what_is_missing(gamma):
    agent, (seen, start, label, memory) = agent_and_batch(loss="focal", focal_gamma=gamma)
    probability = agent.network(seen, (), start)[0].softmax(-1).gather(-1, label.unsqueeze(-1))
    expected = -((1 - probability) ** gamma * probability.log()).mean()
    assert agent.loss(seen, start, label, memory)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_hinge_loss_is_torchs_for_the_nearest_rival_and_that_of_a_margin_for_two():
    agent, (seen, start, label, memory) = agent_and_batch(loss="hinge")
    logits = agent.network(seen, (), start)[0][0]
    rivals = logits.scatter(1, label[0, :, None], -torch.inf)
    pair = torch.stack([logits.gather(1, label[0, :, None])[:, 0], rivals.amax(1)], 1)
    expected = 2 * F.multi_margin_loss(pair, torch.zeros(4, dtype=torch.int64))  # PyTorch divides by the classes
    assert agent.loss(seen, start, label, memory)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    score, sign = torch.tensor([-2.0, 0.3, 1.5, 0.3]), torch.tensor([1, 1, 1, -1])
    policy = Categorical(spaces.Discrete(2))
    found = -policy.hinge(torch.stack([-score, score], 1) / 2, (sign > 0).long())
    assert found.tolist() == pytest.approx([3, 0.7, 0, 1.3])  # max(0, 1 - f t)


def test_the_hinge_loss_learns_and_is_refused_where_nothing_is_chosen():
    env = make_batched("palaestra/TabularBandit-v0", 32, seed=5)
    agent = agents.make("behaviour_cloning", env, hidden=(16,), rollout_steps=4, loss="hinge", learning_rate=1e-2)
    reports = list(agent.learn(env, 32 * 4 * 12))
    assert reports[-1]["policy_loss"] < 0.5 * reports[0]["policy_loss"]
    with pytest.raises(InvalidInput, match="loss 'hinge' needs a Discrete or MultiDiscrete action"):
        agents.make("behaviour_cloning", make_batched("palaestra/Dose-v0", 1), loss="hinge")


def test_a_mixture_is_learned_from_both_labels():
    agent, (seen, start, label, memory) = agent_and_batch(mix="mixup")
    noise = torch.tensor([[0.5, 0.5, share] for share in (0.1, 0.4, 0.7, 1.0)])
    share = noise[:, 2]
    weight = share.view(1, 4, 1, 1, 1)
    both = (weight * seen + (1 - weight) * seen.roll(-1, 1)).round().to(torch.uint8)
    logits = agent.network(both, (), start)[0][0]
    one, other = (F.cross_entropy(logits, labels, reduction="none") for labels in (label[0], label[0].roll(-1)))
    expected = (share * one + (1 - share) * other).mean()
    assert agent.loss(seen, start, label, memory, noise)[0].item() == pytest.approx(expected.item(), rel=1e-5)


EVERY = {
    "augment": ("rotate", "noise", "augmix", "pixmix"),
    "mix": "cutmix",
    "loss": "focal",
    "label_smoothing": 0.1,
    **SMALL,
}


@pytest.mark.parametrize("name", ["dagger", "behaviour_cloning"])
def test_changed_and_mixed_images_are_resumed_and_captured(name, monkeypatch):
    check_resume(name, digits, 32, **EVERY)
    check_captured(monkeypatch, name, digits, 32, **EVERY)


def test_ppo_learns_from_changed_images_and_acts_on_what_it_sees():
    env = digits()
    settings = {"hidden": (4,), "rollout_steps": 2, "minibatches": 1, "epochs": 1, "encoder": "flat"}
    agent = check_resume("ppo", digits, 32, augment=("crop", "cutout", "flip"), **settings)
    counter = int(agent.network.augmentation.counter)
    assert counter == 4  # one pass a minibatch
    agent.act(env.reset(1), greedy=True)
    assert int(agent.network.augmentation.counter) == counter


@pytest.mark.parametrize(("loss", "of_torch"), [("absolute", F.l1_loss), ("squared", F.mse_loss)])
def test_a_box_is_cloned_by_distance_and_its_deviation_stays(loss, of_torch):
    env = make_batched("palaestra/Dose-v0", 8, seed=3)
    agent = agents.make("behaviour_cloning", env, loss=loss, **SMALL)
    deviation = agent.policy.log_std.detach().clone()
    seen, start, label = env.reset().unsqueeze(0), torch.ones(1, 8).bool(), env.expert_action().unsqueeze(0)
    raw = agent.policy.from_env(label)
    wanted = of_torch(agent.network(seen, (), start)[0], raw)
    torch.testing.assert_close(agent.loss(seen, start, raw, ())[0], wanted)
    before = [weight.detach().clone() for weight in agent.network.parameters()]
    agent.train(env, 64)
    assert any(not torch.equal(old, new) for old, new in zip(before, agent.network.parameters(), strict=True))
    assert torch.equal(agent.policy.log_std, deviation)
    with pytest.raises(InvalidInput, match=f"loss '{loss}' needs a Box as action"):
        agent_and_batch(loss=loss)
