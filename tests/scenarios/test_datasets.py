"""Data sets of Minari: written, read back, and imitated."""

import sys
from pathlib import Path

import numpy as np
import pytest

from palaestra import agents
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.datasets.reading import Dataset, read_dataset
from palaestra.scenarios.datasets.writing import write_dataset
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.main import main

minari = pytest.importorskip("minari", reason="needs Minari, which the extra 'datasets' brings")
pytest.importorskip("h5py", reason="needs h5py, which the extra 'datasets' brings")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of metadata that publishing a data set would want


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Minari keeps data sets, instead of the home folder."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@pytest.mark.parametrize("name", ["repeat-previous", "point-goal", "glimpse"])
def test_what_is_written_is_read_back_by_minari_and_by_us(name: str) -> None:
    scenario = catalogue.get(name)
    player = "expert"
    mean = write_dataset("ours/expert-v0", scenario, player, 3, seed=5)
    kept = minari.load_dataset("ours/expert-v0")
    env = make_environment(scenario, 1)
    assert kept.observation_space == env.observation_space
    assert kept.action_space == env.action_space
    episodes = list(kept.iterate_episodes())
    assert len(episodes) == 3
    assert np.mean([episode.rewards.sum() for episode in episodes]) == pytest.approx(mean)
    assert all((one.terminations | one.truncations)[-1] for one in episodes)
    found = read_dataset("ours/expert-v0")
    assert int(found.start.sum()) == 3
    assert len(found.start) == sum(len(one.rewards) for one in episodes)
    env.reset(0)
    wanted, seen = env.observation, found.observation
    if not isinstance(wanted, dict):
        wanted, seen = {"": wanted}, {"": seen}
    assert seen.keys() == wanted.keys()
    for key, part in wanted.items():
        assert (seen[key].dtype, seen[key].shape[2:]) == (part.dtype, part.shape[1:])
    assert all(env.action_space.contains(action[0].numpy()) for action in found.label)
    assert found.reward[:, 0].tolist() == pytest.approx(np.concatenate([one.rewards for one in episodes]))
    within = ~found.start[1:, 0]  # what a step led to is what the next one acted on
    after, before = (one if isinstance(one, dict) else {"": one} for one in (found.following, found.observation))
    assert all((after[key][:-1][within] == before[key][1:][within]).all() for key in before)


def test_a_clone_learns_from_a_data_set_and_goes_on_without_it(tiny: Path, shelf: Path) -> None:
    scenario = catalogue.get(tiny)
    write_dataset("tiny/expert-v0", scenario, "expert", 200)
    row = runner.run(tiny, "behaviour_cloning", root="runs", steps=6000, demonstrations="minari:tiny/expert-v0")
    assert row.score > 0.6
    plan = runner.read_plan(row.folder)
    assert plan.demonstrations is not None
    assert row.steps <= 200
    kept = Dataset.load(Path(row.folder, "dataset.pt"))
    assert kept.content() == read_dataset("tiny/expert-v0").content()
    for path in sorted(shelf.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert runner.resume(row.folder, steps=6200).return_mean > 0


def test_only_steps_of_the_trained_environment_and_split_are_imitated(tiny: Path) -> None:
    scenario = catalogue.get(tiny)
    write_dataset("tiny/test-v0", scenario.model_copy(update={"options": {"split": "test"}}), "expert", 4)
    write_dataset("other/expert-v0", catalogue.get("repeat-previous"), "expert", 1)
    for name, message in (
        ("tiny/test-v0", "split 'train'; got split 'test'"),
        ("other/expert-v0", "must be of palaestra/TabularBandit-v0; got one of"),
        ("no/such-v0", "no Minari data set 'no/such-v0' on this machine"),
    ):
        with pytest.raises(InvalidInput, match=message):
            runner.run(tiny, "behaviour_cloning", root="runs", demonstrations=f"minari:{name}")
    assert not Path("runs/tiny").exists()


def test_somebody_elses_data_set_is_imitated_where_its_spaces_fit(tiny: Path) -> None:
    env = make_environment(catalogue.get(tiny), 1)
    space = env.observation_space
    rows = np.zeros((4, *space.shape), space.dtype)
    buffer = minari.data_collector.EpisodeBuffer(
        id=0, observations=rows, actions=np.array([0, 1, 0]), rewards=[0.0] * 3, infos={},
        terminations=[False, False, True], truncations=[False] * 3,
    )  # fmt: skip
    minari.create_dataset_from_buffers(
        "theirs/few-v0", [buffer], observation_space=space, action_space=env.action_space
    )
    found = read_dataset("theirs/few-v0")
    assert (found.made_of, found.start[:, 0].tolist(), found.label[:, 0].tolist()) == (
        {},
        [True, False, False],
        [0, 1, 0],
    )
    agent = agents.make("behaviour_cloning", env)
    found.check_for_training(catalogue.get(tiny), agent)
    other = catalogue.get("repeat-previous")
    agent = agents.make("behaviour_cloning", make_environment(other, 1))
    with pytest.raises(InvalidInput, match="theirs/few-v0: its observations are Box"):
        found.check_for_training(other, agent)


def test_the_command_writes_a_data_set(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(
        sys, "argv", ["palaestra", "dataset", str(tiny), "tiny/random-v0", "--agent", "random", "--episodes", "5"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "tiny/random-v0: 5 episodes with a mean return of" in capsys.readouterr().out
    assert minari.load_dataset("tiny/random-v0").total_episodes == 5


def test_values_are_learned_from_players_who_take_turns(tiny: Path) -> None:
    scenario = catalogue.get(tiny)
    write_dataset("tiny/mixed-v0", scenario, "expert,random", 40)
    found = read_dataset("tiny/mixed-v0")
    assert found.reward[::2].eq(1).all()  # the expert's episodes, of one step each
    assert found.reward[1::2].mean() < 0.7
    assert found.terminated.all()
    row = runner.run(tiny, "iql", root="runs", steps=4096, demonstrations="minari:tiny/mixed-v0")
    assert row.steps == 40
    agent = runner.load_agent(row.folder, make_environment(scenario, 1))
    assert agent.demonstration.reward.flatten().tolist() == found.reward.flatten().tolist()
