"""How a run learns is chosen, kept in its record, and chosen anew where it goes on on another device."""

import pytest

from palaestra.agents.learning.learner import Learner
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.runner.plan import execution_on


def test_the_record_says_how_a_run_learned(tiny, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    for execution, kept in (("auto", "eager"), ("compiled", "compiled")):
        row = runner.run(tiny, steps=256, execution=execution)
        plan = runner.read_plan(row.folder)
        assert plan.execution == kept
        assert execution_on(plan, "cpu") == kept
    assert execution_on(plan.model_copy(update={"execution": "captured"}), "cpu") == "eager"


def test_graphs_are_refused_before_anything_is_written(tiny, tmp_path):
    with pytest.raises(InvalidInput, match="execution must be 'auto', 'eager' or 'compiled' on cpu"):
        runner.run(tiny, steps=256, execution="captured", device="cpu", root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
