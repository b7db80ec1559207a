"""Conservative Q-learning: its excess against integrals, what it adds to soft actor-critic, and its ways of running."""

import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.agents.offline.recorded import Steps
from palaestra.agents.value.sac import SAC
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import close

SMALL = {"hidden": (6,), "updates": 2, "batch_size": 8, "demonstration_steps": 6, "sampled_actions": 3}
BOX = spaces.Box(np.array([-2, 0], "f"), np.array([1, 4], "f"))


def learned(env, **settings):
    agent = agents.make("cql", env, seed=2, **SMALL | settings)
    return agent, list(agent.learn(env, 64))


def rising(observation, noise):
    """Actions (N, 1) in [-1, 1] whose density rises from a third to two thirds, and its logs (N,)."""
    share = (1 + 3 * noise).sqrt() - 1
    return 2 * share - 1, ((share + 1) / 3).log().squeeze(1)


class Known(nn.Module):
    """Two values of an action alone: 3 a, and 1 - 2 a squared, of its first entry."""

    def forward(self, observation, action):
        a = action[:, 0]
        return torch.stack([3 * a, 1 - 2 * a * a])


def test_the_excess_is_the_log_mean_exponential_less_the_recorded_value(acting):
    """By sampling it comes near the integrals over [-1, 1]: log of sinh(3) / 3, and 1 + log of a Gaussian one."""
    agent, _ = learned(acting(4, spaces.Box(-1, 1, (1,), np.float32)), sampled_actions=1000)
    agent.critic, agent.sample = Known(), rising
    batch = agent.draw()
    found = agent.excess(batch, torch.rand(8, 3000, generator=torch.Generator().manual_seed(0)))
    gaussian = math.sqrt(math.pi / 2) * math.erf(math.sqrt(2)) / 2  # half the integral of exp(-2 a a)
    first, second = agent.critic(None, batch.action).mean(1).tolist()
    assert found[0].item() == pytest.approx(math.log(math.sinh(3) / 3) - first, abs=0.05)
    assert found[1].item() == pytest.approx(1 + math.log(gaussian) - second, abs=0.05)


def test_it_is_soft_actor_critic_and_a_weight_of_the_excess(acting):
    agent, _ = learned(acting(4, BOX), conservatism=0.5)
    batch, noise = agent.draw(), torch.rand(8, 2 * (1 + 9))
    plain = SAC.critic_loss(agent, batch, noise[:, :2]).item()
    whole = agent.critic_loss(batch, noise).item()
    assert whole == pytest.approx(plain + 0.5 * agent.excess(batch, noise[:, 2:]).sum().item(), rel=1e-5)
    assert not np.isclose(whole, plain)


def test_raw_actions_are_scaled_from_the_box_and_back(acting):
    agent, _ = learned(acting(4, BOX))
    labels = torch.tensor([[-2.0, 4.0], [1.0, 0.0], [-0.5, 2.0]])
    assert agent.raw(labels).tolist() == [[-1, 1], [1, -1], [0, 0]]
    torch.testing.assert_close(agent.to_env(agent.raw(labels)), labels)


def test_recorded_actions_are_worth_more_than_others_afterwards(acting):
    """One action is recorded, of reward 0: the plain critic knows nothing of the others, the conservative one does."""
    above = {}
    for weight in (0.0, 5.0):
        agent = agents.make("cql", acting(4, BOX), seed=1, hidden=(16,), learning_rate=1e-2, conservatism=weight)
        rows = 64
        space = agent.observation_space
        seen = torch.from_numpy(np.stack([space.sample() * 0 for _ in range(rows)]))
        action = torch.full((rows, 2), 0.5)
        agent._steps = Steps(seen, action, torch.zeros(rows), torch.zeros(rows), seen)
        agent.progress.fill_(0.0)
        for _ in range(40):
            agent.descend()
        other = torch.tensor([[-0.5, -0.5]]).expand(rows, 2)
        above[weight] = float((agent.critic(seen, action) - agent.critic(seen, other)).mean())
    assert above[5.0] > above[0.0] + 1


def test_it_is_resumed(acting):
    check_resume("cql", lambda: acting(4, BOX), 64, **SMALL)


def test_it_learns_alike_compiled(acting, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    states = []
    for way in ("eager", "compiled"):
        env = acting(4, BOX)
        agent = agents.make("cql", env, seed=2, execution=way, **SMALL)
        states.append((list(agent.learn(env, 64)), agent.state_dict()))
    close(states[1], states[0])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"conservatism": -1}, "conservatism"),
        ({"sampled_actions": 0}, "sampled_actions"),
        ({"hindsight": None}, "hindsight"),
    ],
)
def test_what_cannot_be_is_refused(acting, settings, told):
    with pytest.raises(InvalidInput, match=told):
        agents.make("cql", acting(2, BOX), **settings)


def test_choices_are_refused(acting):
    with pytest.raises(InvalidInput, match="cql"):
        agents.make("cql", acting(2, spaces.Discrete(3)))
