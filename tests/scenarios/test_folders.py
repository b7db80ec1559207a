"""Scenarios of other people's: folders that are registered, and files that may not name code."""

import json
import re
from pathlib import Path

import pytest

from palaestra import scenarios
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.registry import allowing_imports
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.files import folders, strict_yaml
from palaestra.scenarios.recording import Recording
from palaestra.tests.scenarios.conftest import TINY


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "REGISTERED", {})
    monkeypatch.setattr(catalogue, "REGISTERED", folders.REGISTERED)


@pytest.fixture
def acme() -> Path:
    """A folder with two scenarios."""
    folder = Path("acme")
    folder.mkdir()
    (folder / "maze.yaml").write_text(TINY.replace("name: tiny", "name: acme/maze"))
    (folder / "second.yaml").write_text(TINY.replace("name: tiny", 'name: "acme/other"  # in quotes'))
    return folder


def test_a_registered_scenario_is_listed_run_and_resumed_by_its_name(acme: Path) -> None:
    assert scenarios.register(acme) == scenarios.register(acme) == ["acme/maze", "acme/other"]
    assert scenarios.names()[-2:] == ["acme/maze", "acme/other"]
    assert catalogue.get("acme/maze").name == catalogue.get(acme / "maze.yaml").name == "acme/maze"
    row = scenarios.run("acme/maze", "random", root="runs")
    assert row.scenario == "acme/maze"
    folder = Path(row.folder)
    assert re.fullmatch(r"runs/acme-maze/random/0-\w+", folder.as_posix())
    assert scenarios.resume(folder).return_mean == row.return_mean
    assert [standing.agent for standing in scenarios.leaderboard("acme/maze")] == ["random"]
    with pytest.raises(InvalidInput, match="did you mean 'acme/maze'"):
        catalogue.get("acme/maz")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TINY, "scenario must carry a namespace of its own, such as 'acme/maze', .* got 'tiny'"),
        (TINY.replace("name: tiny", "name: palaestra/x"), "must not begin with 'palaestra/'"),
        (TINY.replace("name: tiny", "title: tiny"), "must have a line 'name: namespace/scenario'"),
        (TINY.replace("name: tiny", "name: acme/maze"), "scenario name 'acme/maze' is taken, by .*maze.yaml"),
    ],
)
def test_a_folder_with_a_wrong_name_adds_nothing(acme: Path, text: str, told: str) -> None:
    (acme / "third.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=told):
        scenarios.register(acme)
    assert folders.REGISTERED == {}


def test_a_folder_without_scenarios_is_refused() -> None:
    for folder in ("nowhere", "."):
        with pytest.raises(InvalidInput, match=r"scenario folder must hold \.yaml files"):
            scenarios.register(folder)


def test_a_users_file_may_not_take_a_registered_name(acme: Path) -> None:
    scenarios.register(acme)
    Path("mine.yaml").write_text((acme / "maze.yaml").read_text())
    with pytest.raises(InvalidInput, match="is one of the catalogue's own"):
        catalogue.get("mine.yaml")


EVIL = [
    ("environment: palaestra/TabularBandit-v0", "environment: some.module:Task"),
    ("environment: palaestra/TabularBandit-v0", "environment: some.module:Maze-v0"),
    ("agents: {ppo: {", "agents: {ppo: {encoder: 'some.module:Encoder', "),
    ("agents: {ppo:", "agents: {'some.module:Agent':"),
    ("steps: 2048", "steps: 2048\nagent: some.module:Agent"),
]


@pytest.mark.parametrize(("good", "evil"), EVIL)
def test_a_scenario_file_imports_code_only_when_that_is_allowed(good: str, evil: str) -> None:
    Path("evil.yaml").write_text(TINY.replace(good, evil))
    with pytest.raises(InvalidInput, match=r"evil\.yaml: names code to import, 'some\.module:\S+'; .*--allow-import"):
        runner.run("evil.yaml")
    assert not Path("runs").exists()
    with allowing_imports():
        assert catalogue.get("evil.yaml").name == "tiny"


@pytest.mark.parametrize(("good", "evil"), EVIL)
def test_a_run_folder_imports_code_only_when_that_is_allowed(good: str, evil: str, tiny: Path) -> None:
    folder = Path(runner.run(tiny, "random").folder)
    Path("evil.yaml").write_text(TINY.replace(good, evil))
    content = strict_yaml.load(folder / "run.yaml")
    content["scenario"] = strict_yaml.load("evil.yaml")
    (folder / "run.yaml").write_text(strict_yaml.dump(content))
    for use in (runner.resume, runner.score_run):
        with pytest.raises(InvalidInput, match=r"run\.yaml: names code to import, 'some\.module"):
            use(folder)


@pytest.mark.parametrize("part", [{"environment": "some.module:Task"}, {"options": {"deep": ["some.module:Thing"]}}])
def test_a_recording_imports_code_only_when_that_is_allowed(part: dict) -> None:
    content = {"environment": "palaestra/TabularBandit-v0", "options": {}, "seed": 0, "episodes": [], "returns": []}
    Path("evil.json").write_text(json.dumps(content | part))
    with pytest.raises(InvalidInput, match=r"evil\.json: names code to import"):
        Recording.load("evil.json")


def test_stable_baselines_agents_are_no_code_of_others() -> None:
    Path("fine.yaml").write_text(TINY.replace("agents: {ppo:", "agent: 'sb3:PPO'\nagents: {'sb3:PPO': {}, ppo:"))
    assert catalogue.get("fine.yaml").agent == "sb3:PPO"
