"""Looking after runs from the command line."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.main import main
from palaestra.scenarios.runner.scoring import evaluation_environment


@pytest.fixture
def palaestra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs the command; returns its exit code, what it printed and what it complained."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["palaestra", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_runs_are_listed_shown_relabelled_exported_and_removed(palaestra, tiny: Path) -> None:
    row = runner.run(tiny, "random", root="here")
    code, text, _ = palaestra("runs", "list", "--json", "--root", "here")
    assert code == 0
    (line,) = json.loads(text)
    assert (line["run"], line["state"], line["label"], line["folder"]) == (row.run_id, "finished", "random", row.folder)
    shown = json.loads(palaestra("runs", "show", row.run_id, "--root", "here")[1])
    assert shown["result"]["return_mean"] == row.return_mean
    assert shown["plan"]["agent"] == "random"
    assert palaestra("runs", "relabel", row.folder, "--label", "by chance", "--root", "here")[0] == 0
    assert "by chance" in palaestra("leaderboard", "tiny", "--root", "here")[1]
    assert "1 rows" in palaestra("runs", "export", "out.csv", "--root", "here")[1]
    assert "by chance" in Path("out.csv").read_text()
    assert palaestra("runs", "remove", row.run_id, "--yes", "--root", "here")[0] == 0
    assert Leaderboard("here/leaderboard.sqlite").rows() == []
    code, _, complaint = palaestra("runs", "list", "--root", "here")
    assert (code, complaint) == (2, "palaestra: no runs in here\n")


def test_a_run_s_policy_is_exported_and_acts_alike(palaestra, tiny_memory: Path) -> None:
    folder = runner.run(tiny_memory, "ppo", steps=128, root="here").folder
    code, told, _ = palaestra("export", folder, "policy.pt2")
    assert (code, told) == (0, f"{folder}: the policy is written to policy.pt2\n")
    env = evaluation_environment(runner.read_plan(folder), "cpu")
    env.reset(0)
    agent = runner.load_agent(folder, env)
    start, memory = torch.ones(env.num_envs, dtype=torch.bool), tuple(agent.initial_memory(env.num_envs))
    action, _ = torch.export.load("policy.pt2").module()(env.observation, memory, start)
    assert torch.equal(action, agent.act(env.observation, memory, start, greedy=True)[0])
    complaint = palaestra("export", folder, "policy.bin")[2]
    assert complaint == "palaestra: policy.bin: the name of an exported policy must end in .pt2 or .onnx\n"


def test_nothing_is_removed_without_a_yes(palaestra, tiny: Path, monkeypatch) -> None:
    folder = Path(runner.run(tiny, "random", root="here").folder)
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    assert palaestra("runs", "remove", folder, "--root", "here")[0] != 0
    assert folder.exists()


def test_a_labelled_run_is_extended(palaestra, tiny: Path) -> None:
    palaestra("train", tiny, "--steps", 256, "--label", "mine", "--root", "here")
    (folder,) = Path("here/tiny/ppo").iterdir()
    code, _, told = palaestra("resume", folder, "--steps", 512, "--device", "cpu")
    assert (code, "after 512 steps" in told) == (0, True)
    (row,) = Leaderboard("here/leaderboard.sqlite").rows()
    assert (row.label, row.steps) == ("mine", 512)


def test_ctrl_c_names_the_run_and_how_it_and_the_other_seeds_go_on(palaestra, tiny: Path, monkeypatch) -> None:
    log = runner.training.Training.iteration

    def interrupted(self, *arguments: object) -> None:
        log(self, *arguments)
        if self.plan.seed == 4 and self.at.iterations == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(runner.training.Training, "iteration", interrupted)
    code, _, told = palaestra("train", tiny, "--seeds", 4, "--first-seed=3", "--steps", 512, "--root", "here")
    assert code == 130
    (folder,) = Path("here/tiny/ppo").glob("4-*")
    last = told.splitlines()[-1]
    assert f"stopped; 256 of 512 steps saved. Carry on with: palaestra resume {folder}" in last
    assert last.endswith(f"palaestra train {tiny} --steps 512 --root here --first-seed 5 --seeds 2")
    assert len(Leaderboard("here/leaderboard.sqlite").rows()) == 1
    code, _, told = palaestra("resume", folder)
    assert (code, "after 512 steps" in told) == (0, True)
