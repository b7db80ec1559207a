"""The list of environments and what it promises."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import gymnasium
import pytest

import palaestra.envs as envs
from palaestra.envs.registry import ENTRIES, entry, ids, task_class
from palaestra.envs.score_table import TABLE, key, measure


def test_every_id_is_registered_with_gymnasium():
    assert ids() == envs.ids()
    for id in ids():
        assert gymnasium.spec(id).vector_entry_point == "palaestra.envs.adapters.vector:make_vector"
        assert id.startswith("palaestra/")
        assert id.endswith("-v0")


def test_an_id_names_the_class_of_its_task():
    for id in ids():
        assert issubclass(task_class(id), envs.Task)
        assert task_class(id).__name__ == id.removeprefix("palaestra/").removesuffix("-v0")
        assert entry(id).module.startswith(f"{entry(id).family}.")


def test_every_summary_is_one_sentence_of_its_own():
    summaries = [entry.summary for entry in ENTRIES.values()]
    assert all(summary.endswith(".") and "\n" not in summary and len(summary) < 80 for summary in summaries)
    assert len(set(summaries)) == len(summaries)


def test_every_variant_differs_from_the_defaults_and_from_the_others():
    for id in ids():
        variants = [json.dumps(options, sort_keys=True) for options in entry(id).variants]
        assert len(set(variants)) == len(variants)
        defaults = {name: p.default for name, p in inspect.signature(task_class(id).__init__).parameters.items()}
        for options in entry(id).variants:
            assert any(defaults.get(name, entry(id).episodes) != value for name, value in options.items())


def test_the_score_table_has_a_row_for_every_variant_and_no_other():
    expected = {key(id, options) for id in ids() for options in ({}, *entry(id).variants)}
    assert set(json.loads(TABLE.read_text())) == expected


def test_scores_of_options_without_a_row_are_played():
    assert envs.scores("palaestra/RepeatPrevious-v0", symbols=3, length=9).expert == pytest.approx(1)
    played = measure("palaestra/DigitBandit-v0", {}, episodes=64)
    assert (played.expert, played.expert_error, played.episodes) == (1, 0, 64)


def test_every_public_name_can_be_had():
    for name in envs.__all__:
        assert getattr(envs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        envs.Nothing  # noqa: B018


def test_importing_the_package_needs_no_torch():
    code = "import sys, palaestra.envs; print({'torch', 'pygame', 'stable_baselines3', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_making_a_single_environment_loads_neither_stable_baselines_nor_pygame():
    code = (
        "import sys, gymnasium, palaestra; env = gymnasium.make('palaestra/RepeatPrevious-v0'); env.reset(); "
        "print({'pygame', 'stable_baselines3', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
