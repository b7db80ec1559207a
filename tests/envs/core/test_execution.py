"""Eager, compiled and captured: one function run in three ways. A tape of operators stands in for CUDA's graphs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from palaestra.envs.core.execution import Captured, Compiled, Unit, resolved
from palaestra.envs.core.program import Program
from palaestra.envs.core.tracing import branch_free, row_by_row
from palaestra.neural_blocks.errors import InvalidInput

_specification = importlib.util.spec_from_file_location("tape", Path(__file__).with_name("tape.py"))
tape = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(tape)
Tape = tape.Tape


def step(tree, push):
    """A counter, the value before the last push, and the value: the second is the old tensor of the third."""
    value = tree["value"] * 0.5 + push
    return {"count": tree["count"] + 1, "before": tree["value"], "value": value}, {
        "sum": value.sum(),
        "seen": tree["value"],
    }


def start():
    return {"count": torch.zeros(3, dtype=torch.int64), "before": torch.zeros(3), "value": torch.arange(3.0)}


def played(unit, steps=5):
    tree, seen = start(), []
    for k in range(steps):
        tree, outputs = unit(tree, torch.full((3,), float(k)))
        seen.append(outputs)
    return {name: tensor.clone() for name, tensor in tree.items()}, seen


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


UNITS = {
    "captured": lambda function: Captured(function, "Test", recorder=Tape),
    "compiled": lambda function: Compiled(function, "Test", "aot_eager"),
    "program": lambda function: Program(function, "Test", "aot_eager"),
    "captured program": lambda function: Captured(Program(function, "Test", "aot_eager"), "Test", recorder=Tape),
}
each_unit = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)


@pytest.mark.parametrize("device", ["cpu", "meta", "cuda"])
def test_auto_is_captured_on_cuda_and_eager_elsewhere(device):
    assert resolved("x", "auto", device) == ("captured" if device == "cuda" else "eager")
    assert resolved("x", "compiled", device) == "compiled"
    assert resolved("x", "eager", device) == "eager"


def test_captured_without_cuda_and_unknown_modes_are_refused_in_one_line():
    with pytest.raises(InvalidInput, match=r"^X: execution must be 'auto', 'eager' or 'compiled' on cpu.*'captured'$"):
        resolved("X: execution", "captured", "cpu")
    with pytest.raises(InvalidInput, match=r"X: execution must be .*got 'compild'"):
        resolved("X: execution", "compild", "cpu")


@each_unit
def test_every_way_gives_what_the_function_gives(unit):
    tree, seen = played(unit(step))
    expected, wanted = played(step)
    assert_same([tree], [expected])
    assert_same(seen, wanted)  # outputs are kept though later calls came


def test_a_capture_is_made_once_and_replayed():
    before = Tape.made
    unit, calls = Captured(lambda tree, push: calls.append(1) or step(tree, push), "Test", recorder=Tape), []
    _, seen = played(unit, steps=9)
    assert len(seen) == unit.graph.replays == 9
    assert Tape.made == before + 1
    assert len(calls) == 3  # two to warm up, one captured


def test_the_tree_given_first_is_left_alone_and_warming_up_leaves_no_trace():
    first = start()
    tree, _ = Captured(step, "Test", recorder=Tape)(first, torch.ones(3))
    assert_same([first], [start()])
    assert tree["count"].tolist() == [1, 1, 1]


def test_leaves_that_exchange_places_are_copied_back_as_they_were():
    unit = Captured(lambda tree: ((tree[1], tree[2], tree[0]), tree[0]), "Test", recorder=Tape)
    tree = tuple(torch.tensor([float(k)]) for k in range(3))
    for turn in range(1, 5):
        tree, out = unit(tree)
        assert [float(leaf) for leaf in tree] == [(k + turn) % 3 for k in range(3)]
        assert float(out) == (turn - 1) % 3


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_tensor_that_stands_twice_in_the_tree_becomes_two():
    zero = torch.zeros(1).expand(2)
    for make in UNITS.values():
        unit = make(lambda tree: ((tree[0] + 1, tree[1] + 10), tree[1]))
        tree, _ = unit((zero, zero))
        tree, out = unit(tree)
        assert [leaf.tolist() for leaf in (*tree, out)] == [[2, 2], [20, 20], [10, 10]]
        assert zero.tolist() == [0, 0]


def test_another_tree_given_later_is_taken_up():
    unit = Captured(step, "Test", recorder=Tape)
    played(unit)
    tree, seen = played(unit)
    expected, wanted = played(step)
    assert_same([tree, *seen], [expected, *wanted])


def test_parameters_that_change_in_place_are_put_back_after_warming_up():
    weight = torch.ones(2)

    def learn(tree):
        weight.mul_(2)
        return (tree[0] + weight,), weight.sum()

    unit = Captured(learn, "Test", mutated=lambda: [weight], recorder=Tape)
    tree = (torch.zeros(2),)
    for turn in range(1, 4):
        tree, total = unit(tree)
        assert weight.tolist() == [2.0**turn] * 2
        assert float(total) == 2.0 ** (turn + 1)
    assert tree[0].tolist() == [14, 14]


def test_outputs_that_are_not_kept_are_those_of_the_last_call():
    unit = Captured(step, "Test", keep=False, recorder=Tape)
    _, seen = played(unit, 3)
    assert seen[0]["sum"] is seen[2]["sum"]


@pytest.mark.parametrize("name", ["captured", "compiled", "program"])
def test_other_shapes_and_dtypes_are_refused_in_one_line_and_the_unit_lives_on(name):
    unit = UNITS[name](step)
    tree, _ = unit(start(), torch.ones(3))
    for wrong in (torch.ones(1), torch.ones(3, dtype=torch.float64)):
        with pytest.raises(InvalidInput, match=r"^Test: with execution=.* must be float32 \(3,\) on cpu") as caught:
            unit(tree, wrong)
        assert "\n" not in str(caught.value)
    tree, _ = unit(tree, torch.ones(3))
    assert tree["count"].tolist() == [2, 2, 2]


def test_a_captured_tree_that_changes_its_shape_is_refused():
    unit = Captured(lambda tree: ((torch.cat([tree[0], tree[0]]),), tree[0]), "Test", recorder=Tape)
    with pytest.raises(InvalidInput, match=r"Test: the tree it returns.*float32 \(2,\)"):
        unit((torch.zeros(2),))


def branching(tree):
    return ((tree[0] + 1,) if bool(tree[0].sum() > 0) else tree), tree[0]


@each_unit
def test_a_branch_on_what_a_tensor_holds_is_refused_in_one_line(unit):
    with pytest.raises(InvalidInput, match=r"^Test: cannot be (compiled|captured) .*'eager' runs it$") as caught:
        unit(branching)((torch.zeros(2),))
    assert "\n" not in str(caught.value)


def test_units_of_one_function_do_not_share_their_programs():
    for size in range(1, 12):  # more than the compiler keeps for one piece of code
        tree, _ = UNITS["compiled"](lambda tree: ((tree[0] * 2,), tree[0]))((torch.ones(size),))
        assert tree[0].tolist() == [2.0] * size


def test_compiling_again_without_another_shape_warns():
    scale = [1.0]
    unit = UNITS["compiled"](lambda tree: ((tree[0] * scale[0],), tree[0]))
    unit((torch.ones(2),))
    scale[0] = 3.0
    with pytest.warns(RuntimeWarning, match="Test: compiled again"):
        tree, _ = unit((torch.ones(2),))
    assert tree[0].tolist() == [3.0, 3.0]


def test_rows_are_looked_at_only_where_nothing_is_traced():
    cpu = torch.device("cpu")
    assert row_by_row(cpu)
    assert not row_by_row(torch.device("meta"))
    with branch_free():
        assert not row_by_row(cpu)
    seen = []
    Program(lambda tree: (seen.append(row_by_row(cpu)), (tree, tree[0]))[1], "Test", "aot_eager")((torch.ones(1),))
    assert seen == [False]
    assert row_by_row(cpu)


def test_a_unit_runs_as_it_is_told():
    for execution in ("eager", "compiled"):
        unit = Unit(step, execution, name="Test", closed=True, backend="aot_eager")
        tree, seen = played(unit)
        expected, wanted = played(step)
        assert_same([tree, *seen], [expected, *wanted])


def test_generated_code_gives_the_same_to_the_bit():
    unit = Unit(step, "compiled", name="Test", closed=True)
    tree, seen = played(unit)
    expected, wanted = played(step)
    assert_same([tree, *seen], [expected, *wanted])
