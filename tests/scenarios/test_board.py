import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios.board import Leaderboard, Row
from palaestra.scenarios.tables import render

EXAMPLE = Row(
    run_id="digits-ppo-0",
    scenario="digits",
    agent="ppo",
    seed=0,
    steps=400_000,
    episodes=1000,
    return_mean=0.97,
    return_std=0.17,
    score=0.96,
    metrics={"accuracy": 0.97},
    seconds=12.5,
    folder="runs/digits/ppo/0-a",
    finished_at="2025-01-31T12:00:00+00:00",
    version="0.1.0",
)


def row(agent: str, seed: int, score: float | None, scenario: str = "digits", **changes) -> Row:
    values = {"run_id": f"{scenario}-{agent}-{seed}", "return_mean": 0.1 + 0.9 * (score or 0)} | changes
    return replace(EXAMPLE, scenario=scenario, agent=agent, seed=seed, score=score, **values)


@pytest.fixture
def board(tmp_path):
    return Leaderboard(tmp_path / "runs" / "leaderboard.sqlite")


def test_a_row_comes_back_as_it_was_added(board):
    board.add(EXAMPLE)
    assert board.rows() == [EXAMPLE]


def test_a_run_is_one_row_however_often_it_is_added(board):
    board.add(EXAMPLE)
    board.add(replace(EXAMPLE, score=0.5))
    assert [found.score for found in board.rows()] == [0.5]


def test_values_that_are_not_finite_come_back(board):
    board.add(row("ppo", 0, math.nan, return_mean=math.nan, return_std=math.nan, metrics={"bleu": math.nan}))
    (found,) = board.rows()
    assert found.score is None
    assert math.isnan(found.return_mean)
    assert math.isnan(found.return_std)
    assert math.isnan(found.metrics["bleu"])


def test_numpy_numbers_are_stored_as_numbers(board):
    board.add(row("ppo", 0, np.float64(0.5), metrics={"accuracy": np.float32(0.25)}))
    assert board.rows()[0].metrics == {"accuracy": 0.25}
    assert board.rows()[0].score == 0.5


def test_rows_are_chosen_by_scenario_and_agent_and_come_oldest_first(board):
    board.add(row("ppo", 0, 0.9, finished_at="2025-01-02T00:00:00+00:00"))
    board.add(row("ppo", 1, 0.8, finished_at="2025-01-01T00:00:00.5Z"))
    board.add(row("dqn", 0, 0.7))
    board.add(row("ppo", 0, 0.6, scenario="tabular"))
    assert [found.seed for found in board.rows("digits", "ppo")] == [1, 0]
    assert len(board.rows("digits")) == 3
    assert len(board.rows(agent="ppo")) == 3
    assert board.rows("absent") == []


def test_reading_where_no_run_has_finished_finds_nothing_and_creates_nothing(board):
    assert board.rows() == []
    assert board.table() == []
    assert not board.path.parent.exists()


def test_a_standing_has_the_interquartile_mean_and_the_means_over_seeds(board):
    scores = [0.1, 0.9, 0.8, 0.85, 0.95]
    for seed, score in enumerate(scores):
        board.add(row("ppo", seed, score, metrics={"accuracy": score}, seconds=10.0 + seed))
    (standing,) = board.table("digits")
    assert (standing.scenario, standing.agent, standing.scenarios, standing.seeds) == ("digits", "ppo", 1, 5)
    assert standing.score == pytest.approx(stats.trim_mean(scores, 0.25))
    assert standing.low < standing.score < standing.high
    assert standing.return_mean == pytest.approx(0.1 + 0.9 * np.mean(scores))
    assert standing.metrics == {"accuracy": pytest.approx(np.mean(scores))}
    assert standing.seconds == pytest.approx(12)
    assert standing.steps == 400_000


def test_standings_come_best_first(board):
    for agent, score in [("dqn", 0.5), ("ppo", 0.9), ("random", 0.0), ("unscored", None)]:
        board.add(row(agent, 0, score))
    assert [standing.agent for standing in board.table("digits")] == ["ppo", "dqn", "random", "unscored"]


def test_without_a_reference_the_return_decides(board):
    board.add(row("a", 0, None, return_mean=20.0))
    board.add(row("b", 0, None, return_mean=200.0))
    assert [standing.agent for standing in board.table("digits")] == ["b", "a"]
    assert all(math.isnan(standing.score) for standing in board.table("digits"))


def test_the_latest_run_of_a_seed_counts(board):
    board.add(row("ppo", 0, 0.9, run_id="new", finished_at="2025-02-01T00:00:00+00:00"))
    board.add(row("ppo", 0, 0.1, run_id="old", finished_at="2025-01-01T00:00:00+00:00"))
    (standing,) = board.table("digits")
    assert (standing.score, standing.seeds) == (0.9, 1)


def test_over_all_scenarios_each_weighs_the_same(board):
    for seed in range(6):
        board.add(row("ppo", seed, 1.0, scenario="digits"))
    board.add(row("ppo", 0, 0.0, scenario="tabular"))
    board.add(row("dqn", 0, 0.3, scenario="tabular"))
    ppo, dqn = board.table()
    assert (ppo.scenario, ppo.agent, ppo.scenarios, ppo.seeds) == ("all", "ppo", 2, 1)
    assert ppo.score == pytest.approx(0.5)
    assert math.isnan(ppo.low)  # tabular has a single seed
    assert math.isnan(ppo.return_mean)
    assert ppo.metrics == {}
    assert (dqn.scenarios, dqn.score) == (1, pytest.approx(0.3))


def test_over_all_scenarios_the_interval_is_stratified(board):
    for seed in range(4):
        board.add(row("ppo", seed, 0.9 + 0.01 * seed, scenario="digits"))
        board.add(row("ppo", seed, 0.1 + 0.01 * seed, scenario="tabular"))
    (standing,) = board.table()
    assert standing.seeds == 4
    assert standing.score == pytest.approx(stats.trim_mean([0.9, 0.91, 0.92, 0.93, 0.1, 0.11, 0.12, 0.13], 0.25))
    assert standing.high - standing.low < 0.05


def test_a_standing_is_plain_json(board):
    board.add(row("ppo", 0, 0.9, metrics={"bleu": math.nan, "accuracy": 0.9}))
    values = json.loads(json.dumps(board.table("digits")[0].to_json(), allow_nan=False))
    assert values["low"] is None
    assert values["score"] == 0.9
    assert values["metrics"] == {"bleu": None, "accuracy": 0.9}


def test_eight_processes_lose_no_row_of_a_board_that_does_not_exist_yet(board):
    script = (
        "import sys; from palaestra.scenarios.board import Leaderboard, Row\n"
        "board, writer = Leaderboard(sys.argv[1]), int(sys.argv[2])\n"
        "assert 'torch' not in sys.modules\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for seed in range(25):\n"
        "    board.add(Row(f'{writer}-{seed}', 'digits', str(writer), seed, 1, 1, 0.5, 0.0, 0.5, {}, 1.0, '',"
        " '2025-01-31T12:00:00+00:00', '0'))\n"
    )
    command = [sys.executable, "-c", script, str(board.path)]
    writers = [
        subprocess.Popen([*command, str(k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for k in range(8)
    ]
    assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * 8
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0] * 8
    assert {found.run_id for found in board.rows()} == {f"{k}-{seed}" for k in range(8) for seed in range(25)}
    with sqlite3.connect(board.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_folder_in_its_place_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="must be a file; it is a folder") as caught:
        Leaderboard(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_no_database_is_refused(board):
    board.path.parent.mkdir()
    board.path.write_text("agent,score\nppo,0.9\n" * 100)
    with pytest.raises(InvalidInput, match=r"leaderboard .*leaderboard\.sqlite: is not a leaderboard: file is not a"):
        board.rows()


def test_a_corrupt_database_is_refused(board):
    board.add(EXAMPLE)
    content = bytearray(board.path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    board.path.write_bytes(content)
    with pytest.raises(
        InvalidInput, match=r"leaderboard\.sqlite: is not a leaderboard: database disk image is malform"
    ):
        board.add(EXAMPLE)


def test_another_programs_database_is_refused_and_left_alone(board):
    board.path.parent.mkdir()
    with sqlite3.connect(board.path) as connection:
        connection.execute("CREATE TABLE runs (a)")
    before = board.path.read_bytes()
    with pytest.raises(InvalidInput, match="is a SQLite database but not a leaderboard"):
        board.add(EXAMPLE)
    assert board.path.read_bytes() == before


def test_a_newer_schema_is_refused(board):
    board.add(EXAMPLE)
    with sqlite3.connect(board.path) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(InvalidInput, match="has schema version 7; this version of Palaestra reads 1"):
        board.rows()


def test_a_file_where_its_folder_should_be_is_named(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(OSError, match="runs"):
        Leaderboard(tmp_path / "runs" / "leaderboard.sqlite").add(EXAMPLE)


def test_a_read_only_folder_is_named():
    folder = Path(tempfile.mkdtemp())  # not pytest's own, whose parents only its owner may enter
    folder.chmod(0o555)
    superuser = os.geteuid() == 0  # who may write anywhere, and so becomes "nobody" for a moment
    try:
        if superuser:
            os.seteuid(65534)
        with pytest.raises(OSError, match=r"leaderboard .*leaderboard\.sqlite: unable to open database file"):
            Leaderboard(folder / "leaderboard.sqlite").add(EXAMPLE)
    finally:
        if superuser:
            os.seteuid(0)
        folder.rmdir()


def test_a_board_that_others_hold_for_too_long_is_given_up(board, monkeypatch):
    board.add(EXAMPLE)
    monkeypatch.setattr("palaestra.scenarios.board.PATIENCE", 0.3)
    holder = sqlite3.connect(board.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert board.rows() == [EXAMPLE]  # reading goes on meanwhile
        with pytest.raises(OSError, match="database is locked"):
            board.add(EXAMPLE)
    finally:
        holder.close()


@pytest.mark.parametrize("finished_at", ["yesterday", "2025-01-31T12:00:00", "2025-01-31T12:00:00+01:00"])
def test_the_time_must_be_in_utc(board, finished_at):
    with pytest.raises(InvalidInput, match="finished_at must be an ISO 8601 time in UTC; got"):
        board.add(replace(EXAMPLE, finished_at=finished_at))


def shown(standings, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(render(standings))
    return capture.get()


def test_the_table_shows_rank_score_interval_and_costs(board):
    for seed in range(5):
        board.add(row("ppo", seed, 0.95 + 0.01 * seed, seconds=185.0))
        board.add(row("dqn", seed, 0.5, seconds=5.25))
    standing = board.table("digits")[0]
    lines = shown(board.table("digits")).splitlines()
    heading = next(line for line in lines if "rank" in line)
    first = next(line for line in lines if "ppo" in line)
    assert "digits" in lines[0]
    for name in ("rank", "agent", "score (IQM)", "return", "accuracy", "seeds", "steps", "time"):
        assert name in heading
    assert f"0.970 [{standing.low:.3f}, {standing.high:.3f}]" in first
    assert "3m05s" in first
    assert "400k" in first
    assert lines.index(first) < next(i for i, line in enumerate(lines) if "dqn" in line)


def test_the_table_over_all_scenarios_tells_how_many_are_covered(board):
    for scenario in ("digits", "tabular"):
        board.add(row("ppo", 0, 0.9, scenario=scenario))
    text = shown(board.table())
    assert "all scenarios" in text
    assert "scenarios" in text
    assert "return" not in text  # which has no common unit


def test_a_long_name_leaves_room_for_the_numbers(board):
    for seed in range(2):
        board.add(row("a-very-long-name-for-an-agent", seed, 0.9, metrics={"accuracy": 0.125, "best_arm": 0.375}))
    text = shown(board.table("digits"))
    for part in ("accuracy", "0.125", "best_arm", "0.375", "0.900 [0.900, 0.900]", "12s"):
        assert part in text


def test_the_table_takes_names_that_look_like_markup(board):
    board.add(row("[bold]mine", 0, 0.9, metrics={"[red]f1": 1.0}))
    text = shown(board.table("digits"))
    assert "[bold]mine" in text
    assert "[red]f1" in text


@pytest.mark.parametrize(
    ("steps", "seconds", "written"),
    [
        (800, 4.24, ("800", "4.2s")),
        (999_999, 59.6, ("1M", "1m00s")),
        (1_250_000, 3599.9, ("1.25M", "1h00m")),
        (2_000_000, 7_810, ("2M", "2h10m")),
    ],
)
def test_the_table_writes_steps_and_times_shortly(board, steps, seconds, written):
    board.add(row("ppo", 0, 0.9, steps=steps, seconds=seconds))
    last = next(line for line in shown(board.table("digits")).splitlines() if "ppo" in line)
    assert tuple(last.split()[-2:]) == written


def test_an_empty_table_has_its_headings():
    assert "agent" in shown([])
