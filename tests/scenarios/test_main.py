"""The command line, as a person meets it."""

import json
import sys
from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.commands.options import parse_settings
from palaestra.scenarios.main import main


@pytest.fixture
def palaestra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command; returns its exit code, what it printed and what it complained."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["palaestra", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_every_command_explains_itself(palaestra) -> None:
    code, told, _ = palaestra("--help")
    assert code == 0
    commands = ("list", "train", "resume", "evaluate", "play", "leaderboard", "demo")
    for command in commands:
        assert command in told
        code, own, _ = palaestra(command, "--help")
        assert code == 0
        assert "Usage: palaestra" in own or "Usage:" in own


@pytest.mark.parametrize(
    ("kind", "name"),
    [("envs", "palaestra/DigitBandit-v0"), ("agents", "ppo"), ("blocks", "PixelCNN"), ("scenarios", "digits")],
)
def test_list_names_everything_as_a_table_and_as_json(palaestra, kind: str, name: str) -> None:
    code, table, _ = palaestra("list", kind)
    assert (code, name in table) == (0, True)
    code, text, _ = palaestra("list", kind, "--json")
    assert code == 0
    assert name in [line.get("id", line.get("name")) for line in json.loads(text)]


def test_list_tells_which_spaces_an_agent_serves(palaestra) -> None:
    _, text, _ = palaestra("list", "agents", "--json")
    served = {line["name"]: (line["observations"], line["actions"]) for line in json.loads(text)}
    everything = "Box, Discrete, MultiDiscrete, MultiBinary or Dict"
    assert served["ppo"] == (everything, "Discrete, MultiDiscrete, MultiBinary or Box")
    assert served["dqn"] == (everything, "Discrete")
    assert served["sac"] == (everything, "Box")
    assert served["q_table"] == ("Discrete", "Discrete")
    assert served["expert"] == ("any", "any")


def test_train_evaluate_and_leaderboard_agree(palaestra, tiny: Path) -> None:
    code, _, told = palaestra(
        "train", tiny, "--agent", "ppo", "--seeds", 2, "--set", "learning_rate=1e-3", "--root", "here"
    )
    assert code == 0
    assert "tiny · ppo · seed 1" in told
    palaestra("train", tiny, "--agent", "random", "--root", "here")
    code, text, _ = palaestra("leaderboard", "tiny", "--json", "--root", "here")
    standings = json.loads(text)
    assert [(s["agent"], s["seeds"]) for s in standings] == [("ppo", 2), ("random", 1)]
    _, table, _ = palaestra("leaderboard", "--root", "here")
    assert "ppo" in table
    assert "all scenarios" in table
    (folder,) = Path("here/tiny/ppo").glob("0-*")
    assert "learning_rate: 0.001" in (folder / "run.yaml").read_text()
    code, text, _ = palaestra("evaluate", folder, "--json")
    assert json.loads(text)[0]["return"] == pytest.approx(
        json.loads((folder / "result.json").read_text())["return_mean"], abs=1e-4
    )


def test_resume_carries_a_run_on(palaestra, tiny: Path) -> None:
    folder = runner.run(tiny, root="here").folder
    Path(folder, "checkpoint.pt").unlink()
    code, _, told = palaestra("resume", folder)
    assert code == 0
    assert "after 2,048 steps" in told


def test_play_writes_a_video_and_a_recording_that_plays_again(palaestra, tiny: Path) -> None:
    code, told, _ = palaestra(
        "play", tiny, "--agent", "expert", "--video", "v.gif", "--episodes", 3, "--record", "r.json"
    )
    assert (code, "returns 1, 1, 1" in told) == (0, True)
    code, told, _ = palaestra("play", tiny, "--agent", "r.json", "--video", "again.gif")
    assert (code, "returns 1, 1, 1" in told) == (0, True)
    assert Path("again.gif").read_bytes() == Path("v.gif").read_bytes()


def test_an_empty_leaderboard_says_so(palaestra) -> None:
    assert "no finished runs" in palaestra("leaderboard")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "digts"), "did you mean 'digits'"),
        (("train", "digits", "--agent", "popo"), "did you mean 'ppo'"),
        (("train", "digits", "--set", "learning_rat=1"), "did you mean 'learning_rate'"),
        (("train", "digits", "--set", "learning_rate=fast"), "'fast'"),
        (("train", "digits", "--set", "learning_rate"), "--set must be key=value; got 'learning_rate'"),
        (("train", "digits", "--device", "abacus"), "'abacus'"),
        (("train", "digits", "--track", "paper"), "'paper'"),
        (("train", "missing.yaml"), "missing.yaml"),
        (("train", "broken.yaml"), "broken.yaml: is not valid YAML"),
        (("train", "option.yaml"), "did you mean 'split'"),
        (("train", "value.yaml"), "got 'tset' (did you mean 'test'?)"),
        (("train", "id.yaml"), "did you mean 'palaestra/DigitBandit-v0'"),
        (("train", "digits", "--agent", "random", "--root", "file/below"), "file"),
        (("resume", "nowhere"), "nowhere: not a run folder"),
        (("evaluate", "nowhere"), "nowhere: not a run folder"),
        (("play", "digits", "--agent", "nobody", "--video", "v.mp4"), "'nobody'"),
        (("play", "digits", "--video", "v.avi"), "must end in .mp4, .gif, .png; got 'v.avi'"),
        (("play", "digits", "--agent", "human", "--video", "v.mp4"), "takes no video"),
        (("play", "digits", "--agent", "broken.json", "--video", "v.mp4"), "broken.json: not a readable recording"),
        (("leaderboard", "--root", "rotten"), "leaderboard.sqlite"),
        (("list", "env"), "'env'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(palaestra, arguments: tuple[str, ...], told: str) -> None:
    scenario = "{name: own, title: T, description: D, environment: %s, options: {%s}, steps: 10}"
    Path("broken.yaml").write_text("name: [unclosed")
    Path("option.yaml").write_text(scenario % ("palaestra/DigitBandit-v0", "splt: train"))
    Path("value.yaml").write_text(scenario % ("palaestra/DigitBandit-v0", "split: tset"))
    Path("id.yaml").write_text(scenario % ("palaestra/DigitBandits-v0", ""))
    Path("broken.json").write_text("{")
    Path("file").write_text("not a folder")
    Path("rotten").mkdir()
    Path("rotten/leaderboard.sqlite").write_text("no database")
    code, _, complaint = palaestra(*arguments)
    assert code == 2
    assert told in complaint
    if arguments[0] != "list":  # click words its own complaint about a choice
        assert complaint.startswith("palaestra: ")
        assert complaint.count("\n") == 1


def test_a_run_of_another_environment_is_refused(palaestra, tiny: Path) -> None:
    folder = runner.run(tiny, root="here").folder
    code, _, complaint = palaestra("play", "digits", "--agent", folder, "--video", "v.gif")
    assert code == 2
    assert "checkpoint of another environment" in complaint
    assert not Path("v.gif").exists()


@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_a_corrupt_checkpoint_is_one_line_and_exit_code_2(palaestra, command: str, tiny: Path) -> None:
    checkpoint = Path(runner.run(tiny, root="here").folder) / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    code, _, complaint = palaestra(command, checkpoint.parent)
    assert code == 2
    assert "checkpoint.pt: not a readable checkpoint" in complaint
    assert complaint.count("\n") == 1


def test_settings_are_read_as_yaml() -> None:
    assert parse_settings(["a=1", "b=[2, 3]", "c=null", "d=text", "e=1.5"]) == {
        "a": 1, "b": [2, 3], "c": None, "d": "text", "e": 1.5,
    }  # fmt: skip
    with pytest.raises(InvalidInput, match="key=value"):
        parse_settings(["=1"])
