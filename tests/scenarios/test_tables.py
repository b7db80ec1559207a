"""Standings as a table for the terminal."""

import pytest

from palaestra.scenarios.output.tables import render
from palaestra.tests.scenarios.board.conftest import row


def shown(standings, width: int | None = 80) -> str:
    return "\n".join(render(standings, width))


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
    assert "2/2" in text
    assert "return" not in text  # which has no common unit


def test_a_long_name_is_never_split_and_costs_the_last_columns(board):
    for seed in range(2):
        board.add(row("a-very-long-name-for-an-agent", seed, 0.9, metrics={"accuracy": 0.125, "best_arm": 0.375}))
    narrow, wide, piped = (shown(board.table("digits"), width) for width in (80, 200, None))
    for text in (narrow, wide, piped):
        assert len(text.splitlines()) == 3
        for part in ("a-very-long-name-for-an-agent", "0.900 [0.900, 0.900]", "0.910"):
            assert part in text
    assert max(map(len, narrow.splitlines())) <= 80
    assert "accuracy" not in narrow
    assert wide == piped
    assert "best_arm" in wide
    assert "12s" in wide


def test_the_table_takes_names_that_look_like_markup_or_steer_the_terminal(board):
    board.add(row("[bold]mine", 0, 0.9, metrics={"[red]f1": 1.0}))
    board.add(row("\x1b[2Jmine", 0, 0.9))
    text = shown(board.table("digits"))
    assert "[bold]mine" in text
    assert "[red]f1" in text
    assert r"\x1b[2Jmine" in text
    assert "\x1b" not in text


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


def test_escape_codes_in_a_name_do_not_reach_the_terminal(board):
    board.add(row("\x1b[31mred\x07", 0, 0.9))
    text = shown(board.table("digits"))
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text
