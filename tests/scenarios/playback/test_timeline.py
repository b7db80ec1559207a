"""Going back and forth in an episode, and the panel that tells what an agent makes of it."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from palaestra import agents, envs
from palaestra.scenarios import catalogue
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.playback import details, watch, window
from palaestra.scenarios.playback.details import Details
from palaestra.scenarios.playback.timeline import Timeline
from palaestra.scenarios.recording import Recording, replay
from palaestra.scenarios.session import Chooser, Session


@pytest.fixture
def session(tiny_memory: Path) -> Session:
    """Of seven steps an episode, begun."""
    session = Session(make_environment(catalogue.get(tiny_memory), 1, watched=True), 5)
    session.begin()
    return session


def agent_for(env: envs.BatchedEnv) -> Chooser:
    return Chooser(agents.make("ppo", env, seed=3, memory="gru", memory_size=8, hidden=[16]), env)


def test_an_episode_is_seen_again_as_it_was_and_goes_on_from_where_it_was_left(session: Session) -> None:
    choose = agent_for(session.env)
    timeline = Timeline(session, choose)
    seen = [int(session.env.observation)]
    for _ in range(4):
        session.choose(choose)
        timeline.note()
        seen.append(int(session.env.observation))
    timeline.go(1)
    assert not timeline.newest
    assert (int(session.env.observation), timeline.now.step) == (seen[1], 1)
    assert [int(moment.observation) for moment in timeline.moments] == seen
    timeline.go(-5)
    assert timeline.at == 0
    timeline.leave()
    assert int(session.env.observation) == seen[-1]
    while not session.ended:
        session.choose(choose)
    straight = Session(session.env, 5)
    for _ in play_through(straight, agent_for(session.env)):
        pass
    assert straight.actions == session.actions


def play_through(session: Session, choose: Chooser):
    session.begin()
    while not session.ended:
        session.choose(choose)
        yield


def test_what_an_agent_thinks_is_its_softmax_its_value_and_its_memory(session: Session) -> None:
    choose = agent_for(session.env)
    timeline = Timeline(session, choose)
    session.choose(choose)
    timeline.note()
    moment, network = timeline.now, choose.agent.network
    with torch.no_grad():
        logits, value, _ = network.act(session.env.observation, moment.memory, session.env.episode_start)
    assert torch.allclose(moment.thought.probabilities, logits.exp() / logits.exp().sum(-1, keepdim=True))
    assert torch.equal(moment.thought.value, value)
    assert torch.equal(moment.memory[0], choose.memory[0])
    assert [float(one.memory[0].abs().sum()) > 0 for one in timeline.moments] == [False, True]
    assert timeline.values() == [float(one.thought.value) for one in timeline.moments]
    greedy, _ = choose.agent.act(session.env.observation, moment.memory, session.env.episode_start, greedy=True)
    assert int(greedy) == int(moment.thought.probabilities.argmax())


def test_agents_of_values_think_in_values_and_others_think_nothing(session: Session) -> None:
    env = session.env
    dqn = agents.make("dqn", env, hidden=[8])
    thought = dqn.think(env.observation)
    with torch.no_grad():
        known = dqn.network.act(env.observation, (), env.episode_start)[0]
    assert torch.equal(thought.action_values, known)
    assert float(thought.value) == float(known.max())
    assert agents.make("random", env).think(env.observation).probabilities is None


def test_the_panel_has_a_picture_of_every_kind_of_observation_and_thought(session: Session) -> None:
    panel = Details(session.env.observation_space, session.env.task.choices(), 600)
    plain = panel.draw(Timeline(session, None))
    thinking = panel.draw(Timeline(session, agent_for(session.env)))
    assert plain.shape == thinking.shape == (600, details.WIDTH, 3)
    assert np.array_equal(plain[: panel.seen], thinking[: panel.seen])
    assert not np.array_equal(plain[panel.seen + 40 :], thinking[panel.seen + 40 :])


def test_values_of_actions_that_are_not_allowed_have_no_bar(session: Session) -> None:
    panel = Details(session.env.observation_space, session.env.task.choices(), 600)
    some = torch.tensor([0.5, -torch.inf, 1.5])
    one, other = (panel._bars("value of each action", values, 0, None) for values in (some, some[[0, 2]]))
    assert one == other


def test_a_watcher_goes_back_and_forth_by_keys_and_nothing_that_is_played_changes(
    tiny_memory: Path, press, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = catalogue.get(tiny_memory)
    shown: list[tuple[int, bool]] = []
    draw = window.Window.show

    def spy(self, told, timeline, last=False) -> None:
        shown.append((timeline.now.step, self.details))
        draw(self, told, timeline, last)

    monkeypatch.setattr(window.Window, "show", spy)
    press(
        "space",
        "right",
        "right",
        "right",
        "left",
        "left",
        "home",
        "end",
        "page up",
        "f1",
        "page down",
        "right",
        "escape",
    )
    played = watch(scenario, "expert", episodes=1, frames_per_second=0.1)
    assert [step for step, _ in shown] == [0, 1, 2, 3, 2, 1, 0, 3, 0, 3, 4]
    assert [opened for _, opened in shown] == [False] * 9 + [True] * 2
    assert len(played.episodes[0]) == 4
    env = make_environment(scenario, 1, watched=True)
    assert len(list(replay(played, Session(env, played.seed)))) == 5


def test_a_film_has_the_panel_beside_the_picture(tiny_memory: Path) -> None:
    scenario = catalogue.get(tiny_memory)
    watch(scenario, "random", video=Path("plain.gif"), episodes=2)
    told = watch(scenario, "random", video=Path("told.gif"), episodes=2, details=True)
    plain, wide = (iio.imread(name) for name in ("plain.gif", "told.gif"))
    assert wide.shape[0] == plain.shape[0] == 2 + sum(map(len, told.episodes))
    assert wide.shape[1:] == (600, 480 + details.WIDTH, 3)
    told.save("told.json")
    assert watch(scenario, "told.json", video=Path("again.gif"), details=True) == Recording.load("told.json")
