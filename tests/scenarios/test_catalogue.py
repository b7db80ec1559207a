import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from palaestra.neural_blocks.errors import InvalidInput, invalid_config
from palaestra.scenarios import catalogue
from palaestra.scenarios.catalogue import Scenario

SMALLEST = "name: mine\ntitle: Mine\ndescription: A test.\nenvironment: CartPole-v1\nsteps: 1_000\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        catalogue.load_scenario(written(folder, text))
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder), "")


def test_every_file_of_the_catalogue_is_a_scenario_of_that_name():
    assert {"bernoulli-bandit-5x10", "digits", "next-symbol", "repeat-previous", "tabular"} <= set(catalogue.names())
    assert catalogue.names() == sorted(catalogue.names())
    for name in catalogue.names():
        scenario = catalogue.get(name)
        assert scenario.name == name
        assert scenario.title
        assert len(scenario.description) > 60
        assert scenario.agent in scenario.agents or not scenario.agents, f"{name}: {scenario.agent} has no settings"


def test_evaluation_options_are_merged_over_the_options():
    tabular = catalogue.get("tabular")
    assert tabular.options == {"dataset": "iris", "split": "train"}
    assert tabular.evaluation_options == {"dataset": "iris", "split": "test"}


def test_a_file_of_ones_own_needs_only_the_required_keys(tmp_path):
    scenario = catalogue.get(str(written(tmp_path, SMALLEST)))
    assert scenario.model_dump() == {
        "name": "mine",
        "title": "Mine",
        "description": "A test.",
        "environment": "CartPole-v1",
        "options": {},
        "evaluation": {"options": {}, "episodes": 1000, "num_envs": 256},
        "num_envs": 64,
        "steps": 1000,
        "agents": {},
        "reference": None,
        "agent": "ppo",
        "tags": [],
        "validation": None,
    }
    assert catalogue.get(tmp_path / "mine.yaml") == scenario


@pytest.mark.parametrize(
    ("more", "agent"),
    [
        ("agents: {dagger: {}, behaviour_cloning: {}}\n", "dagger"),
        ("agents: {dagger: {}, ppo: {}}\n", "ppo"),
        ("agents: {dagger: {}}\nagent: sac\n", "sac"),
        ("agents: {}\n", "ppo"),
    ],
)
def test_the_agent_is_one_that_has_settings(tmp_path, more, agent):
    assert catalogue.get(str(written(tmp_path, SMALLEST + more))).agent == agent


def test_a_scenario_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        catalogue.get("digits").steps = 3


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(InvalidInput, match=r"^scenario must be one of .*; got 'digit' \(did you mean 'digits'\?\)$"):
        catalogue.get("digit")


def test_a_file_of_ones_own_may_not_take_a_name_of_the_catalogue(tmp_path):
    path = written(tmp_path, SMALLEST.replace("mine", "digits"))
    with pytest.raises(InvalidInput, match=r"mine\.yaml: name 'digits' is one of the catalogue's own; choose another"):
        catalogue.get(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps:", "stepz:"), "/mine.yaml: key must be one of 'name', .*; got 'stepz' (did you mean 'steps'?)"),
        (("steps: 1_000", "steps: 0"), "/mine.yaml: steps should be greater than or equal to 1; got 0"),
        (("steps: 1_000", "steps: 1.5e6"), "/mine.yaml: steps should be a valid integer; got 1500000.0"),
        (("steps: 1_000", "steps: 1e30"), "/mine.yaml: steps should be a valid integer; got 1e+30"),
        (
            ("steps:", "num_envs: 1_000_000_000\nsteps:"),
            "/mine.yaml: num_envs should be less than or equal to 16777216; got 1000000000",
        ),
        (
            ("steps:", "evaluation: {episodes: 1_000_000_000}\nsteps:"),
            "/mine.yaml: evaluation.episodes should be less than or equal to 10000000; got 1000000000",
        ),
        (("steps: 1_000", "steps: true"), "/mine.yaml: steps should be a valid integer; got True"),
        (("steps: 1_000\n", ""), "/mine.yaml: steps is required"),
        (("name: mine", "name: ../mine"), "/mine.yaml: name should match pattern '.*'; got '../mine'"),
        (("title: Mine", "title: 3"), "/mine.yaml: title should be a valid string; got 3"),
        (("steps:", "1: 2\nsteps:"), "/mine.yaml: 1: Keys should be strings; got 1"),
        (("steps:", "agents: {ppo: 3}\nsteps:"), "/mine.yaml: agents.ppo should be a valid dictionary; got 3"),
        (
            ("steps:", "evaluation: {episods: 3}\nsteps:"),
            "/mine.yaml: key must be one of 'evaluation.options', 'evaluation.episodes', 'evaluation.num_envs'; "
            "got 'evaluation.episods' (did you mean 'evaluation.episodes'?)",
        ),
        (
            ("steps:", "evaluation: {episodes: 0}\nsteps:"),
            "/mine.yaml: evaluation.episodes should be greater than or equal to 1; got 0",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_is_allowed(tmp_path, change, message):
    found = complaint(tmp_path, SMALLEST.replace(*change))
    if ".*" in message:
        start, end = message.split(".*")
        assert found.startswith(start)
        assert found.endswith(end)
    else:
        assert found == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "/mine.yaml: is not valid YAML: expected ',' or ']', but got '<stream end>' (line 1, column 6)"),
        ("a: 040", "/mine.yaml: is not valid YAML: 040 reads as one number here and as another there"),
        ("a: 1\na: 2", "/mine.yaml: is not valid YAML: key 'a' stands twice (line 2, column 1)"),
        ("a: \x00", "/mine.yaml: is not valid YAML: unacceptable character #x0000: special characters are not allowed"),
        ("- a\n- b", "/mine.yaml: must be a mapping with keys such as 'name' and 'steps'; got ['a', 'b']"),
        ("", "/mine.yaml: must be a mapping with keys such as 'name' and 'steps'; got None"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path, text, message):
    assert complaint(tmp_path, text).startswith(message)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"absent\.yaml: cannot be read: No such file or directory"):
        catalogue.get(str(tmp_path / "absent.yaml"))
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        catalogue.get(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(InvalidInput, match=r"latin\.yaml: is not valid YAML: 'utf-8' codec can't decode"):
        catalogue.get(tmp_path / "latin.yaml")


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float | Literal["auto"] = "auto"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": "adm"}, "PPO: optimiser must be one of 'adam', 'sgd'; got 'adm' (did you mean 'adam'?)"),
        ({"optimiser": 3}, "PPO: optimiser should be 'adam' or 'sgd'; got 3"),
        ({"learning_rate": [1]}, "PPO: learning_rate should be a valid number or 'auto'; got [1]"),
        (
            {"learning_rat": 1, "optimiser": 1},
            "PPO: key must be one of 'optimiser', 'learning_rate'; got 'learning_rat' (did you mean 'learning_rate'?)",
        ),
    ],
)
def test_any_pydantic_model_is_explained_in_one_line(values, message):
    with pytest.raises(ValidationError) as caught:
        Config(**values)
    assert str(invalid_config("PPO", caught.value, Config.model_fields)) == message


def test_a_long_value_is_shortened():
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate({"name": "x" * 10 + "\n" + "Y" * 1000})
    assert len(str(invalid_config("file", caught.value, Scenario.model_fields))) < 200


def test_the_catalogue_and_the_leaderboard_need_neither_torch_nor_wandb_nor_rich():
    face = "from palaestra.scenarios import catalogue, board, statistics, tracking"
    imports = (face, "import palaestra.scenarios.output.tables")
    script = "\n".join(["import sys", *imports, "print({'torch', 'wandb', 'rich'} & {*sys.modules})"])
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
