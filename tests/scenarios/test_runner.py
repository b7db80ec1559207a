"""The runner: folders, rows, and runs that are killed and go on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
import yaml

from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.core.evaluation import evaluate
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, leaderboard, runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.recording import Recording
from palaestra.tests.scenarios.conftest import learned

PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from palaestra.scenarios import run
run(sys.argv[1], "ppo", 3, root=sys.argv[2], steps=int(sys.argv[3]), checkpoint_seconds=float(sys.argv[4]))
"""


def parameters(folder: Path, checkpoint: str = "checkpoint.pt") -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / checkpoint)["state"]["network"]


def test_a_run_leaves_its_folder_and_one_row_of_the_leaderboard(tiny: Path) -> None:
    row = runner.run(tiny, seed=1, root="runs")
    folder = Path(row.folder)
    assert folder.parent == Path("runs/tiny/ppo")
    assert {path.name for path in folder.iterdir()} == {
        "run.yaml", "metrics.jsonl", "checkpoint.pt", "best.pt", "recording.json", "result.json",
    }  # fmt: skip
    assert Leaderboard("runs/leaderboard.sqlite").rows() == [row]
    assert (row.label, row.configuration) == ("ppo", runner.read_plan(folder).configuration)
    assert json.loads((folder / "result.json").read_text())["return_mean"] == row.return_mean
    assert [standing.agent for standing in leaderboard("tiny", root="runs")] == ["ppo"]
    assert [report["steps"] for report in learned(folder)] == [128.0 * k for k in range(1, 17)]
    assert yaml.safe_load((folder / "run.yaml").read_text())["config"]["hidden"] == [16]
    seconds = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] <= row.seconds + 1e-3


def test_the_row_holds_what_the_evaluation_protocol_gives(tiny: Path) -> None:
    row = runner.run(tiny, root="runs")
    assert (row.steps, row.episodes, row.seed, row.agent) == (2048, 32, 0, "ppo")
    assert row.metrics["accuracy"] == pytest.approx(row.return_mean)
    again = runner.score_run(row.folder)
    assert (again.return_mean, again.score) == (row.return_mean, row.score)
    assert runner.score_run(row.folder, episodes=100).episodes == 112  # 7 in each of 16 environments


def test_the_best_checked_agent_is_kept_beside_the_last(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([0.1, 0.5, 0.9, 0.2, 0.9, 0.3, 0.4, 0.8, 0.7, 0.6])
    monkeypatch.setattr("palaestra.scenarios.runner.checks.check", lambda *_: next(told))
    row = runner.run(tiny, seed=2, root="runs")
    folder = Path(row.folder)
    returns = {
        report["steps"]: report["evaluation_return"] for report in learned(folder) if "evaluation_return" in report
    }
    assert list(returns.values()) == [0.1, 0.5, 0.9, 0.2, 0.9, 0.3, 0.4, 0.8, 0.7, 0.6]
    assert list(returns)[-1] == row.steps
    best = next(steps for steps, value in returns.items() if value == 0.9)  # the first of equals
    assert read_checkpoint(folder / "best.pt")["state"]["steps"] == best
    assert runner.score_run(folder, best=True).steps == best


def test_a_check_plays_the_validation_split_and_can_be_repeated(tiny: Path) -> None:
    folder = Path(runner.run(tiny, seed=2, root="runs").folder)
    last = learned(folder)[-1]["evaluation_return"]
    plan = runner.read_plan(folder)
    assert plan.scenario.validation_options == {"split": "validation"}
    episodes = 2048 // 4 // 10  # a quarter of the training's steps, in ten checks of episodes of one step
    env = make_environment(plan.scenario, 16, options={"split": "validation"})
    seed = runner.CHECK_SEED + 2 * runner.SEED_SPAN
    assert float(evaluate(runner.load_agent(folder, env), env, episodes, seed=seed).returns.mean()) == last


def test_expert_and_random_are_rows_without_training(tiny: Path) -> None:
    expert, random = (runner.run(tiny, name, root="runs") for name in ("expert", "random"))
    assert (expert.steps, expert.score, random.steps) == (0, 1.0, 0)
    assert abs(random.score) < 0.5
    assert [standing.agent for standing in leaderboard("tiny", root="runs")] == ["expert", "random"]


def test_the_recording_replays_the_trained_agents_episodes(tiny: Path) -> None:
    row = runner.run(tiny, root="runs")
    recording = Recording.load(Path(row.folder) / "recording.json")
    assert recording.options == {"split": "test"}
    import palaestra.envs as envs

    env = envs.make_batched(recording.environment, 1, **recording.options)
    env.reset(recording.seed)
    returns = [float(env.step(torch.tensor([action])).reward) for (action,) in recording.episodes]
    assert returns == recording.returns


@pytest.mark.parametrize(("which", "lines"), [("tiny", 1), ("tiny", 37), ("tiny_memory", 20)])
def test_a_killed_run_resumed_equals_the_run_that_was_not(
    which: str, lines: int, request: pytest.FixtureRequest
) -> None:
    scenario, steps = request.getfixturevalue(which), 128 * 60
    whole = Path(runner.run(scenario, "ppo", 3, root="whole", steps=steps).folder)
    arguments = [str(scenario), "killed", str(steps), "0"]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments])
    deadline = time.monotonic() + 240
    log: Path | None = None
    while time.monotonic() < deadline and process.poll() is None:
        log = log or next(Path("killed").rglob("metrics.jsonl"), None)
        if log is not None and log.read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run must be killed before it ends"
    assert log is not None
    assert Leaderboard("killed/leaderboard.sqlite").rows() == []
    row = runner.resume(log.parent)
    assert row.steps == steps
    for checkpoint in ("checkpoint.pt", "best.pt"):
        found = parameters(log.parent, checkpoint)
        for name, value in parameters(whole, checkpoint).items():
            assert torch.equal(found[name], value), (checkpoint, name)
    assert learned(log.parent) == learned(whole)
    assert len(Leaderboard("killed/leaderboard.sqlite").rows()) == 1


def test_a_run_killed_before_its_first_checkpoint_starts_again(tiny: Path) -> None:
    whole = Path(runner.run(tiny, "ppo", 3, root="whole").folder)
    folder = Path(runner.run(tiny, "ppo", 3, root="killed").folder)
    for name in ("checkpoint.pt", "result.json", "recording.json"):
        (folder / name).unlink()
    (folder / "metrics.jsonl").write_text('{"steps": 1')  # half a line, as a kill leaves it
    runner.resume(folder)
    assert learned(folder) == learned(whole)
    assert all(torch.equal(value, parameters(folder)[name]) for name, value in parameters(whole).items())


def test_resuming_a_finished_run_changes_nothing(tiny: Path) -> None:
    row = runner.run(tiny, root="runs")
    before = {path: path.read_bytes() for path in Path(row.folder).iterdir()}
    assert runner.resume(row.folder) == row
    assert {path: path.read_bytes() for path in Path(row.folder).iterdir()} == before
    assert Leaderboard("runs/leaderboard.sqlite").rows() == [row]


def test_resuming_a_finished_run_completes_what_a_kill_kept_it_from(tiny: Path) -> None:
    row = runner.run(tiny, root="runs")
    recording = Path(row.folder, "recording.json")
    before = recording.read_bytes()
    recording.unlink()
    Leaderboard("runs/leaderboard.sqlite").remove(row.run_id)
    assert runner.resume(row.folder) == row
    assert Leaderboard("runs/leaderboard.sqlite").rows() == [row]
    assert recording.read_bytes() == before


def test_two_seeds_play_different_episodes(tiny: Path) -> None:
    folders = [Path(runner.run(tiny, "expert", seed, root="runs").folder) for seed in (0, 1)]
    first, second = (Recording.load(folder / "recording.json") for folder in folders)
    assert abs(first.seed - second.seed) >= 2**20
    assert first.episodes != second.episodes


def test_a_scenario_s_settings_reach_an_agent_of_stable_baselines3(tiny: Path) -> None:
    settings = {"n_steps": 8, "batch_size": 64, "n_epochs": 2, "policy_kwargs": {"net_arch": [24]}}
    tiny.write_text(yaml.safe_dump(yaml.safe_load(tiny.read_text()) | {"agents": {"sb3:PPO": settings}}))
    row = runner.run(tiny, "sb3:PPO", root="runs", steps=512, settings={"n_epochs": 3})
    folder = Path(row.folder)
    config = yaml.safe_load((folder / "run.yaml").read_text())["config"]
    assert {name: config[name] for name in settings} == settings | {"n_epochs": 3}
    assert [report["steps"] for report in learned(folder)] == [128, 256, 384, 512]  # 8 steps of 16 environments each
    model = runner.load_agent(folder, make_environment(catalogue.get(tiny), 16)).model
    assert model.policy.mlp_extractor.policy_net[0].out_features == 24
    assert model.n_epochs == 3


def test_a_bridged_environment_is_a_scenario_too(tmp_path: Path) -> None:
    path = tmp_path / "cartpole.yaml"
    path.write_text(
        "{name: pole, title: Balance, description: A pole., environment: CartPole-v1, steps: 256, num_envs: 4,"
        " evaluation: {episodes: 4, num_envs: 4}, agents: {ppo: {rollout_steps: 32}}}"
    )
    row = runner.run(path, root="runs")
    assert (row.steps, row.score) == (256, None)
    assert row.return_mean > 5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scenario": "digts"}, "'digits'"),
        ({"agent": "pop"}, "did you mean 'ppo'"),
        ({"settings": {"learning_rat": 0.1}}, "did you mean 'learning_rate'"),
        ({"settings": {"learning_rate": -1}}, "greater than 0; got -1"),
        ({"device": "abacus"}, "'abacus'"),
        ({"track": "wandbb"}, "did you mean 'wandb'"),
        ({"seed": -1}, "got -1"),
        ({"steps": -5}, "got -5"),
    ],
)
def test_what_cannot_run_says_so_before_anything_is_written(change: dict, told: str, tiny: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        runner.run(**{"scenario": tiny, "root": "runs", **change})
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("runs").exists()


def test_a_folder_that_is_no_run_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nowhere: not a run folder"):
        runner.resume("nowhere")


def test_a_corrupt_checkpoint_is_refused_and_left_where_it_is(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    content = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    (folder / "result.json").unlink()
    with pytest.raises(InvalidInput, match="not a readable checkpoint"):
        runner.resume(folder)
    assert (folder / "checkpoint.pt").stat().st_size == len(content) // 2


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = torch.save, []

    def filling(content: object, file: BinaryIO) -> None:
        calls.append(any(path.name.startswith("checkpoint.pt.") for path in Path("runs").rglob("*.partial")))
        if sum(calls) == 4:
            file.write(b"half a checkpoint")
            raise OSError(28, "No space left on device")
        real(content, file)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", filling)
        with pytest.raises(OSError, match="No space left"):
            runner.run(tiny, "ppo", 3, root="runs", checkpoint_seconds=0)
    (folder,) = Path("runs/tiny/ppo").iterdir()
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] == 3 * 128
    assert not list(folder.glob("*.partial"))
    whole = Path(runner.run(tiny, "ppo", 3, root="whole").folder)
    runner.resume(folder)
    assert all(torch.equal(value, parameters(folder)[name]) for name, value in parameters(whole).items())


def test_tracking_a_run_offline_leaves_a_file_and_the_same_result(tiny: Path) -> None:
    row = runner.run(tiny, "ppo", 0, root="runs", track="wandb")
    assert list(Path(row.folder).rglob("*.wandb"))
    assert row.return_mean == runner.run(tiny, "ppo", 0, root="runs").return_mean
