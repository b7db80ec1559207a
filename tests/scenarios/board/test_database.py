"""The leaderboard's file: rows come back, nothing is lost, and what is no leaderboard is refused."""

import math
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.board.rows import stored
from palaestra.tests.scenarios.board.conftest import EXAMPLE, row


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
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


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
    with pytest.raises(InvalidInput, match="has schema version 7; this version of Palaestra reads 2"):
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
    monkeypatch.setattr("palaestra.scenarios.board.database.PATIENCE", 0.3)
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


def test_a_trigger_in_the_file_does_not_run_and_is_named(board, tmp_path):
    board.add(EXAMPLE)
    with sqlite3.connect(board.path) as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON results BEGIN UPDATE results SET score = 1.0; END")
    before = board.path.read_bytes()
    for use in (board.rows, lambda: board.add(replace(EXAMPLE, run_id="other")), board.check):
        with pytest.raises(InvalidInput, match="'results' and nothing else; got table results, trigger t"):
            use()
    assert board.path.read_bytes() == before


def test_a_table_whose_columns_run_code_is_refused(board):
    board.path.parent.mkdir()
    with sqlite3.connect(board.path) as connection:
        connection.execute("CREATE TABLE results (run_id TEXT DEFAULT (random()), label TEXT)")
        connection.execute("PRAGMA application_id = 1346456641")
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(InvalidInput, match="must hold the table 'results' and nothing else"):
        board.rows()


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("seed", "many", "seed should be a valid integer; got 'many'"),
        ("seed", 0.5, "seed should be a valid integer; got 0.5"),
        ("score", "high", "score should be a valid number"),
        ("steps", b"12", "steps should be a valid integer"),
        ("metrics", "[1, 2]", "metrics must be a JSON object of numbers"),
        ("metrics", '{"a": "b"}', "metrics.a should be a valid number; got 'b'"),
        ("metrics", "[" * 5000, "metrics must be a JSON object of numbers"),
        ("finished_at", "once", "finished_at must be an ISO 8601 time in UTC; got 'once'"),
        ("scenario", b"\xff", "scenario should be a valid string"),
    ],
)
def test_a_damaged_row_is_told_in_one_line_and_can_be_removed(board, column, value, told):
    board.add(EXAMPLE)
    board.add(replace(EXAMPLE, run_id="good"))
    with sqlite3.connect(board.path) as connection:
        connection.execute(f"UPDATE results SET {column} = ? WHERE run_id = ?", (value, EXAMPLE.run_id))
    with pytest.raises(InvalidInput) as caught:
        board.rows()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert board.remove(EXAMPLE.run_id)
    assert [found.run_id for found in board.rows()] == ["good"]


def test_runs_are_relabelled_and_removed(board):
    board.add(EXAMPLE)
    assert board.relabel(EXAMPLE.run_id, "mine")
    assert [standing.label for standing in board.table("digits")] == ["mine"]
    assert not board.relabel("absent", "mine")
    for label in ("", " ", "a\nb", "x" * 81):
        with pytest.raises(InvalidInput, match="label must be 1 to 80 printable characters; got"):
            board.relabel(EXAMPLE.run_id, label)
    assert board.remove(EXAMPLE.run_id)
    assert not board.remove(EXAMPLE.run_id)
    assert board.rows() == []


def first_version(path, rows):
    """A leaderboard as the first version wrote it."""
    from palaestra.scenarios.board.schema import FIRST

    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"CREATE TABLE runs ({FIRST})")
        connection.execute("PRAGMA application_id = 1346456641")
        connection.execute("PRAGMA user_version = 1")
        for found in rows:
            values = stored(found)
            del values["configuration"], values["label"]
            names = ", ".join(f":{name}" for name in values)
            connection.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({names})", values)
    connection.close()


def test_a_leaderboard_of_the_first_version_is_read_as_it_is_and_migrated_by_the_first_row(board):
    old = [row("ppo", seed, 0.7 + seed / 10) for seed in range(2)] + [row("ppo", 2, 0.1, steps=2000)]
    first_version(board.path, old)
    before = board.path.read_bytes()
    assert board.rows() == old
    assert board.path.read_bytes() == before
    board.add(row("dqn", 0, 0.5))
    assert [*board.rows()] == sorted([*old, row("dqn", 0, 0.5)], key=lambda found: found.age)
    with sqlite3.connect(board.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("results",)]
    assert [(s.agent, s.seeds) for s in board.table("digits")] == [("ppo", 2), ("dqn", 1), ("ppo", 1)]


def test_a_link_is_read_and_not_written_through(board, tmp_path):
    board.add(EXAMPLE)
    link = Leaderboard(tmp_path / "link.sqlite")
    link.path.symlink_to(board.path)
    assert link.rows() == [EXAMPLE]
    for use in (lambda: link.add(replace(EXAMPLE, run_id="other")), link.check):
        with pytest.raises(InvalidInput, match="is a link, and writing never follows one"):
            use()
    assert board.rows() == [EXAMPLE]


def test_a_leaderboard_that_cannot_be_written_can_be_read():
    folder = Path(tempfile.mkdtemp())  # not pytest's own, whose parents only its owner may enter
    board = Leaderboard(folder / "leaderboard.sqlite")
    board.add(EXAMPLE)
    board.path.chmod(0o444)
    folder.chmod(0o555)
    superuser = os.geteuid() == 0  # who may write anywhere, and so becomes "nobody" for a moment
    try:
        if superuser:
            os.seteuid(65534)
        assert board.rows() == [EXAMPLE]
        with pytest.raises(OSError, match="cannot be written"):
            board.check()
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_check_before_a_run_finds_what_would_keep_its_row_from_being_added(board, tmp_path):
    board.check()
    assert not board.path.parent.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file: must be a folder; it is a file"):
        Leaderboard(tmp_path / "file" / "runs" / "leaderboard.sqlite").check()
    board.path.parent.mkdir()
    board.path.write_text("no database" * 100)
    with pytest.raises(InvalidInput, match="is not a leaderboard"):
        board.check()
