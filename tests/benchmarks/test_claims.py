"""The frame of benchmarks/claims: intervals, what lies apart, verdicts, the page, and that every claim is complete."""

import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # as Python does for the script; the package `claims` comes before the file
from claims import frame, picture, registry, running  # noqa: E402

sys.path.remove(str(BENCHMARKS))
VALUES = [1.0, 2.5, 4.0, 3.5, 0.5]


@pytest.fixture(autouse=True)
def _scripts_are_found(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def measured(logarithmic=False, **lines):
    """Values of one place, "here", by line."""
    return frame.Measured({line: {"here": values} for line, values in lines.items()}, logarithmic)


def test_an_interval_is_students():
    middle, *ends = frame.interval(VALUES)
    assert middle == pytest.approx(np.mean(VALUES))
    assert ends == pytest.approx(stats.t.interval(0.95, 4, loc=np.mean(VALUES), scale=stats.sem(VALUES)))
    assert frame.interval([3.0])[0] == 3
    assert all(map(math.isnan, frame.interval([3.0])[1:]))


def test_a_logarithmic_interval_is_that_of_logarithms():
    found = measured(True, a=VALUES).interval("a", "here")
    logs = np.log(VALUES)
    assert found[0] == pytest.approx(stats.gmean(VALUES))
    assert found[1:] == pytest.approx(np.exp(stats.t.interval(0.95, 4, loc=logs.mean(), scale=stats.sem(logs))))


def test_one_lies_above_another_where_a_paired_test_says_so():
    draws = np.random.default_rng(0)
    told = []
    for shift in (0.0, 0.1, 0.3, 0.6, 1.0):
        first = draws.normal(size=8)
        second = first + shift + 0.4 * draws.normal(size=8)
        found = measured(a=list(first), b=list(second)).above(("b", "here"), ("a", "here"))
        test = stats.ttest_rel(second, first)
        assert found == (test.pvalue < 0.05 and test.statistic > 0)
        told.append(found)
    assert len(set(told)) == 2  # both answers were given


def test_how_far_above_is_a_difference_or_a_factor():
    ten, one = ("ten", "here"), ("one", "here")
    plain = measured(one=[1.0, 1.1, 0.9], ten=[10.0, 10.2, 10.1])
    assert plain.above(ten, one, 8.5)
    assert not plain.above(ten, one, 9.5)
    assert not plain.above(one, ten)
    ratios = measured(True, one=[1.0, 1.1, 0.9], ten=[10.0, 11.2, 9.1])
    assert ratios.above(ten, one, 9)
    assert not ratios.above(ten, one, 11)


def test_a_contrast_is_a_difference_of_differences():
    found = measured(a=[3.0, 5.0, 4.1], b=[1.0, 3.1, 2.0], c=[9.0, 7.0, 8.0], d=[8.0, 6.1, 7.0])
    a, b, c, d = (((line, "here")) for line in "abcd")
    assert found.contrast(a, b, c, d)  # about 2 against about 1
    assert not found.contrast(c, d, a, b)


def test_a_slope_is_the_exponent_of_a_power():
    places = (1, 2, 4, 8)
    found = frame.Measured(
        {"cost": {frame.named(place): [3 * place**1.5, 5 * place**1.5, place**1.5] for place in places}}, True
    )
    assert found.slope("cost") == pytest.approx((1.5, 1.5, 1.5))


def toy(bound=2.0):
    """A claim whose line rises by the seed."""
    return frame.Claim(
        title="Lines: how they rise",
        says="They rise.",
        how="By arithmetic.",
        measure=lambda seed: {"up": {1: 1.0 + seed, 2: 5.0 + seed}, "short": {2: 3.0 + seed}},
        statements=(
            ("the second place lies above the first", lambda found: found.above(("up", 2), ("up", 1))),
            (f"the first is above {bound}", lambda found: found.interval("up", 1)[1] > bound),
        ),
        value="height",
        across="steps",
        seeds=3,
    )


def test_a_run_keeps_each_seeds_values_and_what_holds():
    found = running.run(toy(), 3)
    assert found["lines"] == {"up": {"1": [1, 2, 3], "2": [5, 6, 7]}, "short": {"2": [3, 4, 5]}}
    assert list(found["statements"].values()) == [True, False]
    assert json.loads(json.dumps(found)) == found


def test_the_page_tells_what_holds_and_what_waits(monkeypatch):
    monkeypatch.setattr(registry, "CLAIMS", {"toy": "here", "later": "there"})
    lines = running.page({"toy": running.run(toy(), 3)}).splitlines()
    assert "| [toy](#toy-lines-how-they-rise) | Lines: how they rise | 3 | 0 | **1 of 2** |" in lines
    assert "Not measured yet: later." in lines
    low, high = stats.t.interval(0.95, 2, loc=2, scale=stats.sem([1, 2, 3]))
    assert "| steps | up | short |" in lines
    assert f"| 1 | 2 ({low:.3g} to {high:.3g}) | – |" in lines
    assert "* the second place lies above the first: holds" in lines
    assert "* the first is above 2.0: **does not hold**" in lines
    assert "![Lines: how they rise](claims/toy.png)" in lines
    all_hold = running.page({"toy": running.run(toy(bound=-2.0), 3)})
    assert "| Lines: how they rise | 3 | 0 | holds |" in all_hold
    assert "does not hold" not in all_hold


def test_a_picture_holds_every_line(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    sizes = []
    for count in (1, 3):
        lines = {f"line {k}": {"1": [k + 1.0, k + 2.0], "8": [k + 3.0, k + 5.0]} for k in range(count)}
        picture.draw("A title", frame.Measured(lines), "height", "steps", tmp_path / "claim.png")
        pixels = imageio.imread(tmp_path / "claim.png")
        sizes.append(pixels.shape)
        plot = pixels[picture.TOP + 2 : picture.BOTTOM - 2, picture.LEFT + 2 : picture.RIGHT - 2, :3]
        for colour in picture.COLOURS[:count]:
            assert (plot == np.array(colour[:3])).all(-1).sum() > 50  # marks and intervals
    assert sizes[1][0] - sizes[0][0] == 2 * picture.LINE  # each line has a row of the key


@pytest.mark.parametrize("name", registry.CLAIMS)
def test_a_claim_is_complete_and_its_statements_read_what_was_measured(name):
    claim = registry.get(name)
    assert min(map(len, (claim.title, claim.says, claim.how, claim.value))) > 0
    assert claim.says.endswith(".")
    assert claim.how.endswith(".")
    assert claim.seeds >= running.FEWEST
    assert callable(claim.measure)
    assert len({text for text, _ in claim.statements}) == len(claim.statements) > 0
    kept = json.loads(running.KEPT.read_text(encoding="utf-8"))
    assert name in kept, f"not measured yet: python benchmarks/claims.py {name}"
    found = kept[name]
    values = frame.Measured(found["lines"], found["logarithmic"])
    assert {text: bool(test(values)) for text, test in claim.statements} == found["statements"]
    assert found["logarithmic"] == claim.logarithmic
    assert all(len(cell) == found["seeds"] for line in found["lines"].values() for cell in line.values())
    assert (running.PICTURES / f"{name}.png").stat().st_size > 0


def test_the_page_is_that_of_what_is_kept():
    kept = json.loads(running.KEPT.read_text(encoding="utf-8"))
    assert running.PAGE.read_text(encoding="utf-8") == running.page(kept)


SMALL = {  # what a claim's file is cut down to so that a seed takes a moment
    "delay-gradients": {"DELAYS": (1, 4)},
    "depth-gradients": {"DEPTHS": (2, 4)},
    "critics": {"WALKS": 50},
    "attention-length": {"STEPS": 1, "LENGTHS": (3,)},
    "dqn-ablations": {"STEPS": 200, "WAYS": {"all of it": {}}},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_is_measured_in_numbers_that_depend_on_it_alone(name, monkeypatch):
    claim = registry.get(name)
    module = importlib.import_module(f"claims.{registry.CLAIMS[name].partition(':')[0]}")
    for setting, value in SMALL[name].items():
        monkeypatch.setattr(module, setting, value)
    first, again = claim.measure(0), claim.measure(0)
    numbers = [value for places in first.values() for value in places.values()]
    assert numbers
    assert all(math.isfinite(value) for value in numbers)
    assert again == first
