"""Stopping: Ctrl-C saves and says how to go on; two processes never work on one run; a deleted folder stays deleted."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch

from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.runner.folder import RunFolder
from palaestra.scenarios.runner.interruption import stopping_between_iterations
from palaestra.tests.scenarios.conftest import learned


def after(reports: int, act):
    """Something that is done during a run, after so many reports."""
    count = 0

    def on_report(*_: object) -> None:
        nonlocal count
        count += 1
        if count == reports:
            act()

    return on_report


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoint.pt")["state"]["network"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_names_the_run_and_the_command_and_the_run_goes_on(tiny: Path, number: int, capfd) -> None:
    whole = Path(runner.run(tiny, "ppo", 3, root="whole").folder)
    with pytest.raises(runner.Stopped) as caught:
        runner.run(tiny, "ppo", 3, root="runs", on_report=after(5, lambda: os.kill(os.getpid(), number)))
    assert isinstance(caught.value, KeyboardInterrupt)
    assert "stopping after this iteration" in capfd.readouterr().err
    (folder,) = Path("runs/tiny/ppo").iterdir()
    told = f"stopped; 640 of 2,048 steps saved. Carry on with: palaestra resume {folder}"
    assert str(caught.value) == told
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] == 640
    assert Leaderboard("runs/leaderboard.sqlite").rows() == []
    runner.resume(folder)
    assert all(torch.equal(value, weights(folder)[name]) for name, value in weights(whole).items())
    assert learned(folder) == learned(whole)


def test_a_second_signal_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopping_between_iterations() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_needs_no_signals(tiny: Path) -> None:
    rows = []
    thread = threading.Thread(target=lambda: rows.append(runner.run(tiny, root="runs", steps=256)))
    thread.start()
    thread.join()
    assert rows[0].steps == 256


def test_the_first_checkpoint_comes_with_the_first_iteration(tiny: Path) -> None:
    found = []
    look = lambda: found.extend(Path("runs").rglob("checkpoint.pt"))  # noqa: E731
    runner.run(tiny, "ppo", root="runs", on_report=after(2, look))
    assert len(found) == 1


def test_a_run_is_carried_on_by_one_process_at_a_time(tiny: Path) -> None:
    told = []

    def resume_it() -> None:
        (folder,) = Path("runs/tiny/ppo").iterdir()
        with pytest.raises(InvalidInput, match="another process is at work on this run") as caught:
            runner.resume(folder)
        told.append(caught.value)

    row = runner.run(tiny, root="runs", on_report=after(3, resume_it))
    assert len(told) == 1
    assert len((Path(row.folder) / "metrics.jsonl").read_bytes().splitlines()) == 16


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_folder_that_goes_away_while_training_stops_the_run_and_does_not_come_back(tiny: Path, how: str) -> None:
    def act() -> None:
        (folder,) = Path("runs/tiny/ppo").iterdir()
        shutil.rmtree(folder) if how == "deleted" else folder.rename("elsewhere")

    with pytest.raises(InvalidInput, match="the run's folder was deleted or moved; the run is stopped"):
        runner.run(tiny, root="runs", on_report=after(3, act), checkpoint_seconds=0)
    assert not list(Path("runs/tiny/ppo").iterdir())
    assert not Path("runs/leaderboard.sqlite").exists()


@pytest.mark.parametrize("way", [".", "../0-{id}", "link", "../../../../runs/tiny/ppo/0-{id}/."])
def test_a_run_is_found_by_whatever_path_leads_to_it(tiny: Path, way: str, monkeypatch) -> None:
    row = runner.run(tiny, root="runs")
    folder = Path(row.folder)
    for name in ("result.json", "recording.json"):
        (folder / name).unlink()
    Leaderboard("runs/leaderboard.sqlite").remove(row.run_id)
    board = Leaderboard(Path("runs/leaderboard.sqlite").absolute())
    Path("link").symlink_to(folder)
    monkeypatch.chdir(folder if way != "link" else Path())
    again = runner.resume(way.format(id=row.run_id))
    assert (again.run_id, again.return_mean) == (row.run_id, row.return_mean)
    assert [found.run_id for found in board.rows()] == [row.run_id]


def test_a_run_folder_that_was_moved_is_refused_before_anything_is_trained(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    (folder / "result.json").unlink()
    folder.rename("moved")
    before = sorted(path.name for path in Path("moved").iterdir())
    with pytest.raises(InvalidInput, match=r"must lie where its run\.yaml says, at ROOT/tiny/ppo/0-"):
        runner.resume("moved")
    assert sorted(path.name for path in Path("moved").iterdir()) == before
    assert runner.score_run("moved").steps == 2048  # looking at it is another thing


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_nothing_is_written_through_a_link_in_a_strangers_run_folder(tiny: Path, link) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    Path("precious").write_text("mine")
    for name in ("result.json", "recording.json", "metrics.jsonl", "best.pt", "checkpoint.pt"):
        (folder / name).unlink()
        link(folder / name, Path("precious").absolute()) if name != "checkpoint.pt" else None
    (folder / "result.json").unlink()
    with pytest.raises(InvalidInput, match=r"metrics\.jsonl: (is a link|has another name)"):
        runner.resume(folder)
    (folder / "metrics.jsonl").unlink()
    runner.resume(folder)
    assert Path("precious").read_text() == "mine"
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_what_killed_processes_left_in_a_run_folder_is_swept(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    (folder / "result.json").unlink()
    (folder / f"best.pt.{2**22 + 1}.partial").touch()
    runner.resume(folder)
    assert not list(folder.glob("*.partial"))


def test_a_lock_ends_with_its_block(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    plan = runner.read_plan(folder)
    with RunFolder(folder, plan):
        pass
    with RunFolder(folder, plan):
        pass
