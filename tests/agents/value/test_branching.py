"""DQN of actions of several choices: its loss against Tavakoli et al. (2018) written out, and its ways of running."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents import DQN, DQNConfig
from palaestra.agents.core.evaluation import evaluate
from palaestra.agents.learning.exploration import ExplorationConfig, explore_branches
from palaestra.agents.learning.learner import Learner
from palaestra.envs import BatchedEnv
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.agents.networks.test_masking import QUICK, Gates
from palaestra.tests.agents.value.test_value_losses import GAMMA, OBSERVATION, doubled, huber, replayed, same
from palaestra.tests.envs.core.tape import Tape

SIZES = (3, 2)
ACTIONS = spaces.MultiDiscrete(SIZES, start=[0, 5])
SMALL = {"hidden": (8,), "warmup_steps": 8, "batch_size": 8, "rollout_steps": 2, "target_rate": 0.5}


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
def test_the_loss_of_branches_is_that_of_the_paper(double, dueling):
    config = DQNConfig(double=double, dueling=dueling, gamma=GAMMA, batch_size=50, hidden=(4,))
    agent = DQN(OBSERVATION, ACTIONS, config)
    doubled(agent, agent.network, agent.target)

    def values(network, x):
        """Equation 2: the state's value, and each branch's advantages without their own mean."""
        branches = network.advantage(x).split(SIZES)
        return [network.value(x) + one - one.mean() if dueling else one for one in branches]

    draw = lambda n, g: torch.stack([torch.randint(size, (n,), generator=g) for size in SIZES], 1)  # noqa: E731
    batch = agent.draw(replayed(draw))
    total = 0.0
    for i in range(50):
        following = [one.detach() for one in values(agent.target, batch.next_observation[0, i])]
        choosers = values(agent.network, batch.next_observation[0, i]) if double else following
        best = [one[int(chooser.argmax())] for one, chooser in zip(following, choosers, strict=True)]
        target = batch.reward[0, i] + batch.discount[0, i] * sum(best) / 2  # equation 5
        here = values(agent.network, batch.observation[0, i])
        total = total + sum(huber(one[batch.action[0, i, d]] - target) for d, one in enumerate(here)) / 2 / 50
    same(agent.loss(batch)[0], total, agent.network)


def test_choices_are_random_together_and_only_what_there_is():
    values = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, -torch.inf]]).expand(20_000, 2, 3)
    config = ExplorationConfig(epsilon_start=0.6, epsilon_end=0.6)
    noise = torch.rand(20_000, 4, generator=torch.Generator().manual_seed(0))
    found = explore_branches(values, config, torch.zeros(()), noise)
    greedy = (found == torch.tensor([1, 0])).all(1).float().mean().item()
    assert greedy == pytest.approx(0.4 + 0.6 / 6, abs=0.015)  # each by itself would give 0.6 x 0.7
    assert found.amax(0).tolist() == [2, 1]


def test_actions_have_the_shape_and_the_start_of_their_space():
    space = spaces.MultiDiscrete(np.array([[3, 2], [2, 2]]), start=np.array([[1, 0], [0, 4]]))
    agent = DQN(OBSERVATION, space, DQNConfig(hidden=(4,)))
    for greedy in (True, False):
        action, _ = agent.act(torch.randn(64, 3), greedy=greedy)
        assert all(one in space for one in action.numpy())
    assert action.shape == (64, 2, 2)
    assert agent.think(torch.randn(2, 3)).value.shape == (2,)


@pytest.mark.parametrize(
    "settings", [{"dueling": True}, {"memory": "gru", "sequence_length": 5, "exploration": "boltzmann"}]
)
def test_it_learns_to_choose_and_takes_nothing_that_is_not_allowed(settings):
    env = BatchedEnv(Gates((4, 3)), 32, seed=0)
    agent = agents.make("dqn", env, seed=0, hidden=(16,), **QUICK, **settings)
    for report in agent.learn(env, 1_000):
        assert report.get("shut", 0) == 0
    test = BatchedEnv(Gates((4, 3)), 32, seed=10**6)
    for greedy in (True, False):
        assert evaluate(agent, test, 64, seed=3, greedy=greedy).metrics["shut"] == 0


@pytest.mark.parametrize("more", [{}, {"priority_exponent": 0.5, "n_step": 2}])
def test_branches_are_resumed_and_captured(more, acting, monkeypatch):
    make = lambda: acting(4, spaces.MultiDiscrete(SIZES))  # noqa: E731
    check_resume("dqn", make, 48, **SMALL, **more)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = make()
        agent = agents.make("dqn", env, seed=3, **SMALL, **more)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 48)), agent.state_dict()))
    close(states[1], states[0])
