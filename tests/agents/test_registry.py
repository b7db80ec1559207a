"""The list of agents, open to other people's."""

import subprocess
import sys

import pytest

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.agents.registry import AGENTS, OWN
from palaestra.neural_blocks.errors import InvalidInput


class Stubborn(agents.Random):
    """An agent of somebody else's."""

    name = "acme/stubborn"


class Nameless(agents.Agent):
    def act(self, observation, memory=(), start=None, *, greedy=False):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _empty(monkeypatch):
    monkeypatch.setattr(AGENTS, "_others", {})


def test_every_public_name_can_be_had_and_is_where_it_was():
    for name in agents.__all__:
        assert getattr(agents, name) is not None
    assert {"PPO", "PPOConfig", "SB3DQN", "EpsilonGreedyConfig", "ImitationConfig", "evaluate", "td_evaluation"} <= set(
        agents.__all__
    )
    assert set(agents.__all__) <= set(dir(agents))
    assert {OWN[name].partition(":")[2] for name in OWN} <= set(agents.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        agents.Nothing  # noqa: B018


def test_names_and_summaries_need_no_torch():
    code = "import sys, palaestra.agents as a; a.names(), a.summaries(), dir(a); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_agent_of_others_is_made_by_its_name_and_by_its_path():
    agents.register("acme/stubborn", f"{__name__}:Stubborn")
    assert agents.names()[-1] == "acme/stubborn"
    assert agents.summaries()["acme/stubborn"] == "An agent of somebody else's."
    env = envs.make_batched("palaestra/DigitBandit-v0", 2)
    for name in ("acme/stubborn", f"{__name__}:Stubborn"):
        agent = agents.make(name, env)
        assert type(agent) is agents.agent_class(name) is Stubborn
        with pytest.raises(InvalidInput, match="key must be one of"):
            agents.make(name, env, speed=3)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("acme/stuborn", "did you mean 'acme/stubborn'"),
        ("sb3:PO", "did you mean 'sb3:PPO'"),
        ("os.path:join", "must be a class derived from palaestra.agents.core.agent.Agent"),
        (f"{__name__}:Nameless", "Nameless must have a class attribute `name`"),
        ("nowhere.at_all:PPO", "nowhere.at_all cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_no_agent_is_refused_in_one_line(name, told):
    agents.register("acme/stubborn", Stubborn)
    with pytest.raises(InvalidInput) as refusal:
        agents.make(name, envs.make_batched("palaestra/DigitBandit-v0", 2))
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["ppo", "stubborn", "palaestra/stubborn"])
def test_the_suites_own_names_are_kept(name):
    with pytest.raises(InvalidInput, match="agent must"):
        agents.register(name, Stubborn)
