"""Agents that learn from attacked images: what is attacked, what is minimised, and that it is resumed and captured."""

import pytest
import torch
import torch.nn.functional as F

from palaestra import agents
from palaestra.agents.core.processes import Processes
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.side_by_side import can_learn_side_by_side
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.adversarial import trades_loss
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

SMALL = {"hidden": (8,), "encoder": "flat", "rollout_steps": 2}
SETTINGS = {
    "behaviour_cloning": {"updates": 2, "minibatch_size": 8},
    "ppo": {"epochs": 2, "minibatches": 1},
    "a2c": {},
    "reinforce": {},
}
ATTACK = {"adversarial_epsilon": 0.1, "adversarial_steps": 3}


def digits(**options):
    return make_batched("palaestra/DigitBandit-v0", 4, seed=5, **options)


def made(name, execution="eager", env=None, **settings):
    env = digits() if env is None else env
    return agents.make(name, env, seed=1, execution=execution, **SMALL, **SETTINGS[name], **settings), env


def batch_of(agent, env):
    return env.reset(1).unsqueeze(0), torch.ones(1, 4, dtype=torch.bool), torch.tensor([[3, 1, 4, 1]])


def test_an_attack_stays_in_its_ball_and_in_the_range_of_images_and_raises_the_loss():
    agent, env = made("behaviour_cloning", **ATTACK)
    for parameter in agent.network.actor.parameters():
        parameter.data.mul_(30)  # a fresh network hardly minds anything
    seen, start, label = batch_of(agent, env)
    attacked, further = agent.adversary.learned_from(seen, start, label)
    assert further is None
    assert attacked.dtype == torch.float32
    assert attacked.shape == seen.shape
    assert (attacked - seen.float()).abs().max() <= 25.5 + 1e-3
    assert attacked.min() >= 0
    assert attacked.max() <= 255
    losses = [F.cross_entropy(agent.network(x, (), start)[0][0], label[0]) for x in (attacked, seen)]
    assert losses[0] > losses[1] + 0.1


def test_one_step_on_a_linear_network_moves_every_value_by_the_sign_of_its_gradient():
    agent, env = made("behaviour_cloning", adversarial_epsilon=0.05, adversarial_steps=1)
    agent.network.actor = torch.nn.Linear(64, 10)
    seen, start, label = batch_of(agent, env)
    attacked, _ = agent.adversary.learned_from(seen, start, label)
    weight = agent.network.actor.weight
    logits = seen.flatten(2)[0] / 255 @ weight.T + agent.network.actor.bias
    gradient = (logits.softmax(-1) - F.one_hot(label[0], 10)) @ weight  # of the cross-entropy, by hand
    moved = (attacked - seen)[0].flatten(1) / 255
    inside = (seen[0].flatten(1) > 25) & (seen[0].flatten(1) < 230)  # elsewhere the range ends before the ball
    # 2.5 epsilon from any place in the ball along the sign ends at its surface
    torch.testing.assert_close(moved[inside], 0.05 * gradient.sign()[inside], rtol=1e-4, atol=1e-5)


def test_where_the_label_was_wrong_it_is_made_more_likely():
    agent, env = made("ppo", **ATTACK)
    agent.network.actor = torch.nn.Linear(64, 10)
    seen, start, label = batch_of(agent, env)
    advantage = torch.tensor([[1.0, -1.0, 2.0, -0.5]])
    attacked, _ = agent.learned_from(seen, start, label, advantage)
    before, after = (agent.policy.log_prob(agent.network(x, (), start)[0], label) for x in (seen, attacked))
    assert ((after - before) * advantage < 0).all()


def test_with_beta_the_loss_is_that_of_trades():
    agent, env = made("behaviour_cloning", **ATTACK, adversarial_beta=6.0)
    seen, start, label = batch_of(agent, env)
    clean, attacked = agent.adversary.learned_from(seen, start, label)
    assert clean is seen
    logits = [agent.network(x, (), start)[0][0] for x in (seen, attacked)]
    loss, _ = agent.loss(seen, start, label, (), None, attacked)
    assert loss.item() == pytest.approx(trades_loss(*logits, label[0], 6.0).item(), rel=1e-5)


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_with_beta_policy_gradients_add_the_divergence_to_their_loss(name):
    agent, env = made(name, **ATTACK, adversarial_beta=5.0)
    agent.network.actor = torch.nn.Linear(64, 10)
    seen, start, action = batch_of(agent, env)
    attacked = 255 - seen.float()
    own, other = (agent.network(x, (), start)[0][0].log_softmax(-1) for x in (seen, attacked))
    numbers = torch.tensor([[0.5, -0.5, 1.0, 2.0]])
    numbers = [numbers, numbers, numbers, None] if name == "ppo" else [numbers, numbers]  # no value before, unclipped
    losses = [agent.loss(seen, start, action, *numbers, (), attacked=one)[0].item() for one in (None, attacked)]
    expected = 5 * F.kl_div(other, own, reduction="batchmean", log_target=True)
    assert losses[1] - losses[0] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(("name", "beta"), [("behaviour_cloning", 0.0), ("reinforce", 6.0)])
def test_adversarial_training_is_resumed_and_captured(name, beta, monkeypatch):
    """Compiled it is tried with an ensemble."""
    monkeypatch.setattr(Learner, "recorder", Tape)
    settings = {**SMALL, **SETTINGS[name], "adversarial_epsilon": 0.1, "adversarial_steps": 2, "adversarial_beta": beta}
    check_resume(name, digits, 32, **settings)
    states = []
    for execution in ("eager", "captured"):
        env = digits()
        agent = agents.make(name, env, seed=1, **settings)
        for parameter in agent.network.actor.parameters():
            parameter.data.mul_(30)  # of a fresh network's gradients rounding would decide the sign
        if execution == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 24)), agent.state_dict()))
    close(states[1], states[0])


def test_a_flag_beside_the_image_is_left_alone():
    env = digits(domain="mixed", target="textured", flag=True)
    agent, _ = made("ppo", env=env, **ATTACK)
    agent.train(env, 16)
    seen = {name: part.unsqueeze(0) for name, part in env.reset(1).items()}
    start, action = torch.ones(1, 4, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.int64)
    attacked, _ = agent.learned_from(seen, start, action, torch.ones(1, 4))
    assert list(attacked) == list(seen)
    assert torch.equal(attacked["domain"], seen["domain"])
    assert not torch.equal(attacked["image"], seen["image"].float())


@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_a_row_without_bounds_is_moved_in_its_own_unit(beta):
    env = make_batched("palaestra/TabularBandit-v0", 16, dataset="moons")
    agent = agents.make("behaviour_cloning", env, hidden=(8,), adversarial_epsilon=0.5, adversarial_beta=beta)
    seen, start, label = env.reset(1)[None], torch.ones(1, 16, dtype=torch.bool), torch.zeros(1, 16, dtype=torch.int64)
    found = agent.adversary.learned_from(seen, start, label)
    attacked = found[1] if beta else found[0]
    apart = (attacked - seen).abs()
    assert apart.max() == pytest.approx(0.5, abs=1e-5)
    assert (attacked < 0).any()  # no bounds of an image hold it
    agent.train(env, 600)


@pytest.mark.parametrize(
    ("task", "settings", "told"),
    [
        ("NextSymbol", {}, "an attack needs an image in the observation"),
        ("Recall", {"memory": "gru"}, "adversarial_epsilon must be 0 with a memory or an action mask"),
        ("Localize", {}, "adversarial_epsilon must be 0 where an action is no one class"),
    ],
)
def test_what_cannot_be_attacked_is_told_in_one_line(task, settings, told):
    env = make_batched(f"palaestra/{task}-v0", 2)
    with pytest.raises(InvalidInput, match=told):
        agents.make("ppo", env, adversarial_epsilon=0.1, **settings)


def test_seeds_side_by_side_and_several_processes_do_without():
    agent, _ = made("ppo", **ATTACK)
    assert not can_learn_side_by_side(agent)
    several = Processes()
    several.size = 2
    with pytest.raises(InvalidInput, match="adversarial_epsilon must be 0 in several processes"):
        agent.join(several)
    with pytest.raises(InvalidInput, match="mix must be null with adversarial_epsilon"):
        made("behaviour_cloning", **ATTACK, mix="mixup")
