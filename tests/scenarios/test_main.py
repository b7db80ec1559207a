"""The command line, as a person meets it."""

import json
import os
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

from palaestra import __version__, agents, envs
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.commands.options import parse_settings
from palaestra.scenarios.files import strict_yaml
from palaestra.scenarios.main import main
from palaestra.scenarios.output import description


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
    names = "list describe train resume evaluate verify play leaderboard assess report inspect compare curves sweep"
    commands = [*names.split(" "), "runs", "demo"]
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
    assert served["dqn"] == (everything, "Discrete or MultiDiscrete")
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
    for name in ("checkpoint.pt", "result.json"):
        Path(folder, name).unlink()
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
        (("train", "digits", "--set", "hidden=64,x"), "PPOConfig: hidden"),
        (("train", "digits", "--set", "hidden=[[[["), "--set hidden=[[[[: is not valid YAML"),
        (("train", "digits", "--set", "epochs=" + "9" * 5000), "a number has at most 40 signs; got 5,000"),
        (("train", "digits", "--set", "epochs=1", "--set", "epochs=2"), "--set epochs stands twice"),
        (("train", "digits", "--set", "clip=040"), "reads as one number here and as another there"),
        (("train", "digits", "--env-set", "splt=test"), "did you mean 'split'"),
        (("train", "digits", "--env-set", "id=3"), "digits: palaestra/DigitBandit-v0 cannot be given the option 'id'"),
        (("train", "digits", "--env-set", "self=3"), "cannot be given the option 'self'"),
        (("train", "cartpole", "--env-set", "num_envs=3"), "CartPole-v1 cannot be given the option 'num_envs'"),
        (("train", "cartpole", "--env-set", "colour=3"), "'CartPole-v1' with options {'colour': 3}"),
        (("train", "digits", "--steps", "4e99"), "'--steps': must be a whole number from 0 to 1,000,000,000,000,000"),
        (("train", "digits", "--steps", "many"), "got 'many'"),
        (("train", "digits", "--seeds", "9" * 5000), "must be a whole number from 1 to 10,000; got '999"),
        (("train", "digits", "--seeds", "1.5"), "got '1.5'"),
        (("train", "digits", "--stps", "1"), "--stps"),
        (("train", "digits", "--device", "meta"), "got 'meta'"),
        (("train",), "Missing argument"),
        (("trian", "digits"), "'trian'"),
        (("leaderboard", "digts"), "did you mean 'digits'"),
        (("describe", "digts"), "did you mean 'digits'"),
        (("train", "red\x1b[31m"), r"'red\x1b[31m'"),
        (("resume", "red\x1b[31m"), r"red\x1b[31m: not a run folder"),
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
        (("play", "digits", "--video", "v.avi"), "must end in .mp4, .gif, .png, .html; got 'v.avi'"),
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
    assert complaint.startswith("palaestra: ")
    assert complaint.count("\n") == 1
    assert len(complaint) < 1000


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
    checkpoint.with_name("result.json").unlink()
    code, _, complaint = palaestra(command, checkpoint.parent)
    assert code == 2
    assert "checkpoint.pt: not a readable checkpoint" in complaint
    assert complaint.count("\n") == 1


def test_options_of_the_environment_steps_and_lists_can_be_typed_shortly(palaestra, tiny: Path) -> None:
    code, _, told = palaestra(
        "train", tiny, "--env-set", "dataset=wine", "--steps", "1e3", "--set", "hidden=8,8", "--root", "here"
    )
    assert (code, "after 1,024 steps" in told) == (0, True)
    (folder,) = Path("here/tiny/ppo").iterdir()
    plan = strict_yaml.load(folder / "run.yaml")
    assert plan["scenario"]["options"] == {"split": "train", "dataset": "wine"}
    assert (plan["steps"], plan["config"]["hidden"]) == (1000, [8, 8])


def test_the_version_is_told(palaestra) -> None:
    assert palaestra("--version")[:2] == (0, f"palaestra {__version__}\n")


def test_without_a_command_help_is_shown(palaestra) -> None:
    code, told, _ = palaestra()
    assert code == 0
    assert "Commands:" in told


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("digits", ["Read handwritten digits", "trained on: split=train", "scored on: split=test", "400,000 steps"]),
        ("RepeatPrevious", ["palaestra/RepeatPrevious-v0", "delay", "whole number", "action: Discrete(4)"]),
        ("palaestra/GANGame-v0", ["opponent", "generator | discriminator", "against-uniform"]),
        ("BernoulliBandit", ["episodes of a trial"]),
        ("ppo", ["learning_rate", "number > 0", "0.0003", "of the optimiser, ", "64,64", "steps of every"]),
        ("random", ["nothing can be set"]),
    ],
)
def test_describe_tells_options_with_defaults_and_meaning(palaestra, name: str, parts: list[str]) -> None:
    code, told, _ = palaestra("describe", name)
    assert code == 0
    for part in parts:
        assert part in told
    assert json.loads(palaestra("describe", name, "--json")[1])


@pytest.mark.parametrize("name", [*agents.names(), *envs.ids()])
def test_every_option_and_setting_has_a_meaning(name: str) -> None:
    for option in description.describe(name)["options"]:
        assert option["meaning"], option["name"]
        assert option["type"]


def on_a_terminal(columns: int, *words: str) -> list[str]:
    """The lines that a command prints on a terminal of so many columns."""
    script = "import sys; from palaestra.scenarios.main import main; sys.argv = ['palaestra', *sys.argv[1:]]; main()"
    import fcntl
    import struct
    import termios

    mother, daughter = os.openpty()
    fcntl.ioctl(daughter, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = subprocess.Popen([sys.executable, "-c", script, *words], stdout=daughter, stderr=daughter, env=clean)
    os.close(daughter)
    told = b""
    while True:
        try:
            part = os.read(mother, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        told += part
    os.close(mother)
    assert child.wait(60) == 0
    return told.decode().splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("words", [("list", "agents"), ("list", "blocks"), ("list", "scenarios"), ("describe", "ppo")])
def test_tables_fit_eighty_columns_with_names_whole_and_are_not_wrapped_when_piped(palaestra, words) -> None:
    narrow, piped = on_a_terminal(80, *words), palaestra(*words)[1].splitlines()
    assert max(map(len, narrow)) <= 80
    assert len(piped) < len(narrow)
    first = {line.split()[0] for line in piped if line and not line.startswith("For")}
    assert first <= {word for line in narrow for word in line.split()} | {"names"}


def test_settings_are_read_as_yaml() -> None:
    assert parse_settings(["a=1", "b=[2, 3]", "c=null", "d=text", "e=1.5", "f=64,64", "g='1,2'", "h=4e4"]) == {
        "a": 1, "b": [2, 3], "c": None, "d": "text", "e": 1.5, "f": [64, 64], "g": "1,2", "h": 40_000,
    }  # fmt: skip
    with pytest.raises(InvalidInput, match="key=value"):
        parse_settings(["=1"])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("play glim", {"glimpse"}),
        ("play digits --agent h", {"human"}),
        ("train digits --agent behav", {"behaviour_cloning"}),
        ("assess --agent sa", {"sac"}),
        ("describe palaestra/Gl", {"palaestra/Glimpse-v0"}),
        ("lea", {"leaderboard"}),
    ],
)
def test_a_shell_completes_commands_scenarios_and_agents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, found: set[str]
) -> None:
    monkeypatch.setenv("_PALAESTRA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"palaestra {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    monkeypatch.setattr(sys, "argv", ["palaestra"])
    monkeypatch.setattr(sys.modules["__main__"], "__package__", "")  # that is how the command's name is found out
    with pytest.raises(SystemExit):
        main()
    assert set(capsys.readouterr().out.split()) == found


def test_help_of_the_environments_begins_with_where_to_begin() -> None:
    told = pydoc.render_doc(envs, renderer=pydoc.plaintext)[:2500]
    for name in ("ids()", "make_batched(", "gymnasium.make(", "TextEnv(", "make_task(", "scores(", "check("):
        assert name in told
        assert hasattr(envs, name.partition("(")[0]) or name.startswith("gymnasium.")
