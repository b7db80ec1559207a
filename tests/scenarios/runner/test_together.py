"""Several seeds as one batch: each has the folder, the row and the weights of its own run, and goes on by itself."""

import os
import signal
from pathlib import Path

import pytest
import torch

from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.tests.agents.learning.test_processes import apart
from palaestra.tests.scenarios.conftest import learned


def compare(one: str | Path, other: str | Path) -> None:
    """Checkpoints and metrics of two runs are the same but for rounding."""
    states = [read_checkpoint(Path(folder) / "checkpoint.pt") for folder in (one, other)]
    assert all(size < 1e-5 for size in apart(states[0]["state"], states[1]["state"]).values())
    environments = [state["extra"]["environment"] for state in states]
    assert apart(environments[0], environments[1]) == {}
    for alone, together in zip(learned(one), learned(other), strict=True):
        assert alone == pytest.approx(together, abs=1e-4)


@pytest.mark.parametrize(
    ("agent", "scenario"), [("ppo", "tiny"), ("ppo", "tiny_memory"), ("a2c", "tiny"), ("rl2", "tiny_trial")]
)
def test_each_seed_gets_what_its_own_run_gets(agent: str, scenario: str, request: pytest.FixtureRequest) -> None:
    scenario, steps = request.getfixturevalue(scenario), 768
    rows = runner.run_together(scenario, agent, range(1, 4), steps=steps, root="together")
    assert rows is not None
    assert [row.seed for row in rows] == [1, 2, 3]
    assert sorted(row.run_id for row in Leaderboard("together/leaderboard.sqlite").rows()) == sorted(
        row.run_id for row in rows
    )
    for row in rows:
        alone = runner.run(scenario, agent, row.seed, steps=steps, root="alone")
        assert (row.return_mean, row.steps, row.configuration) == (alone.return_mean, steps, alone.configuration)
        compare(alone.folder, row.folder)
        files = [{path.name for path in Path(folder).iterdir()} for folder in (alone.folder, row.folder)]
        assert files[0] == files[1]
    moved = [read_checkpoint(Path(row.folder) / "checkpoint.pt")["state"]["network"] for row in rows]
    assert all(not torch.equal(value, moved[1][name]) for name, value in moved[0].items() if name.endswith("weight"))


def test_seeds_that_are_stopped_are_all_saved_and_one_goes_on_by_itself(tiny: Path) -> None:
    count = 0

    def stop(*_: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(runner.Stopped) as caught:
        runner.run_together(tiny, "ppo", range(2), root="together", on_report=stop)
    assert caught.value.steps == 384
    assert Leaderboard("together/leaderboard.sqlite").rows() == []
    folders = sorted(Path("together/tiny/ppo").iterdir())
    assert [read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] for folder in folders] == [384, 384]
    row, alone = runner.resume(folders[1]), runner.run(tiny, "ppo", 1, root="alone")
    assert (row.return_mean, row.steps) == (alone.return_mean, alone.steps)
    compare(alone.folder, row.folder)


@pytest.mark.parametrize(("agent", "settings"), [("reinforce", {}), ("ppo", {"normalise_observation": True})])
def test_what_cannot_be_one_batch_is_left_alone(agent: str, settings: dict, tiny: Path) -> None:
    assert runner.run_together(tiny, agent, range(2), settings=settings, root="together") is None
    assert not Path("together/tiny").exists()
    with pytest.raises(InvalidInput, match="gama"):
        runner.run_together(tiny, "ppo", range(2), settings={"gama": 0.9})
