"""Another default dtype of the process, such as float64, changes no agent."""

import pytest
import torch

from palaestra import agents
from palaestra.envs import make_batched

SINUSOID, FEW_SHOT, MDP = "palaestra/Sinusoid-v0", "palaestra/FewShot-v0", "palaestra/TabularMDP-v0"
PAIRS = (
    ("maml", SINUSOID, {}),
    ("protonet", FEW_SHOT, {"rollout_steps": 25}),
    ("matching", FEW_SHOT, {"rollout_steps": 25}),
    ("posterior_sampling", MDP, {}),
    ("optimistic_planning", MDP, {}),
    ("thompson", "palaestra/BernoulliBandit-v0", {}),
    ("ppo", SINUSOID, {"rollout_steps": 10}),
    ("rl2", MDP, {"network": "per_action", "memory": None, "hidden": (8,), "rollout_steps": 10}),
    ("reinforce", SINUSOID, {"rollout_steps": 20}),
    ("sac", SINUSOID, {}),
    ("dqn", "palaestra/DigitBandit-v0", {}),
    ("gail", SINUSOID, {}),
    ("behaviour_cloning", SINUSOID, {}),
)


def learned(name, id, settings):
    """What an agent does after two iterations, in every number."""
    env = make_batched(id, 4)
    agent = agents.make(name, env, **settings)
    for iteration, _ in enumerate(agent.learn(env, 10_000)):
        if iteration == 1:
            break
    return agents.evaluate(agent, env, 4, seed=3).returns, agent.state_dict()


@pytest.mark.parametrize(("name", "id", "settings"), PAIRS, ids=[f"{name}" for name, *_ in PAIRS])
def test_learning_is_the_same_under_another_default_dtype(name, id, settings):
    returns, state = learned(name, id, settings)
    torch.set_default_dtype(torch.float64)
    try:
        others, other = learned(name, id, settings)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (returns == others).all()
    torch.testing.assert_close(other, state, rtol=0, atol=0)
