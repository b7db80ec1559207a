"""What the episodes of a trial bring."""

from pathlib import Path

import pytest

from palaestra import agents, envs
from palaestra.agents import evaluate
from palaestra.scenarios import runner
from palaestra.scenarios.report.curves import adaptations
from palaestra.scenarios.runner.adapting import read_adaptation, returns_within_trials

TRIAL = """
name: pulls
title: A few pulls
description: Two arms, pulled a few times.
environment: palaestra/BernoulliBandit-v0
options: {arms: 2, episodes: 5}
evaluation: {episodes: 64, num_envs: 64}
steps: 64
"""


@pytest.mark.parametrize("name", ["random", "expert", "ucb1"])
def test_the_returns_within_a_trial_sum_to_the_trials_return(name: str) -> None:
    env = envs.make_batched("palaestra/TabularMDP-v0" if name == "random" else "palaestra/BernoulliBandit-v0", 32)
    agent = agents.make(name, env)
    found = returns_within_trials(agent, env, 7)
    assert found.shape == (env.task.episodes,)
    assert float(found.sum()) == pytest.approx(float(evaluate(agent, env, 32, seed=7).returns.mean()), rel=1e-5)
    if name == "ucb1":  # it finds the better arm
        assert float(found[-3:].mean()) > float(found[:2].mean()) + 0.05


def test_a_run_keeps_them_and_the_report_shows_mean_lowest_and_highest(tmp_path: Path) -> None:
    path = tmp_path / "pulls.yaml"
    path.write_text(TRIAL)
    rows = [runner.run(path, "random", seed, root=tmp_path / "runs") for seed in (0, 1)]
    kept = [read_adaptation(Path(row.folder)) for row in rows]
    assert [len(one) for one in kept] == [5, 5]
    (line,) = adaptations(rows, tmp_path / "runs")["pulls"]
    assert (line["x"], line["seeds"]) == ([1, 2, 3, 4, 5], 2)
    assert line["mean"] == pytest.approx([(a + b) / 2 for a, b in zip(*kept, strict=True)], rel=1e-4)
    assert line["low"] == pytest.approx([min(pair) for pair in zip(*kept, strict=True)], rel=1e-4)
    Path(rows[0].folder, "adaptation.json").write_text("[]")
    assert read_adaptation(Path(rows[0].folder)) is None


def test_a_run_without_trials_keeps_none(tiny: Path) -> None:
    row = runner.run(tiny, "random", root="runs")
    assert not Path(row.folder, "adaptation.json").exists()
    assert adaptations([row], Path("runs")) == {}
