"""Several tasks as one: each row is what its own task would be, in every way of running."""

import math

import gymnasium
import gymnasium.spaces as spaces
import pytest
import torch

from palaestra import envs
from palaestra.envs.contract.checker import CHECKS
from palaestra.envs.core.tracing import branch_free
from palaestra.envs.core.tree import leaves, take
from palaestra.envs.wrappers.multi_task import MultiTask
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue
from palaestra.tests.agents.core.test_resume import check_resume

ID, DELAYS = "palaestra/RepeatPrevious-v0", [{"delay": 1}, {"delay": 3}]
COPIES = [{"length": 2}, {"length": 4}]  # episodes of different lengths
SMALL = {"hidden": (8,), "rollout_steps": 4, "minibatches": 2, "epochs": 1}


def test_each_row_is_its_tasks_own_episode():
    torch.manual_seed(0)
    both = envs.make_task(ID, tasks=DELAYS, length=6, task_shown=True)
    alone = [envs.make_task(ID, length=6, **one) for one in DELAYS]
    noise = torch.rand(12, both.reset_noise)
    state = both.reset(noise)
    kinds = state.which.tolist()
    assert kinds == [int(first >= 0.5) for first in noise[:, 0]]
    assert 0 < sum(kinds) < 12
    others = [task.reset(noise[:, 1:]) for task in alone]
    for _ in range(6):
        seen = both.observe(state)
        assert seen["task"].tolist() == kinds
        action, noise = torch.randint(4, (12,)), torch.rand(12, both.step_noise)
        step, apart = both.step(state, action, noise), []
        for number, task in enumerate(alone):
            apart.append(task.step(others[number], action, noise))
        for row, kind in enumerate(kinds):
            assert seen["observation"][row] == alone[kind].observe(others[kind])[row]
            assert both.expert(state)[row] == alone[kind].expert(others[kind])[row]
            assert step.reward[row] == apart[kind].reward[row]
            assert step.terminated[row] == apart[kind].terminated[row]
            own, other = (step.metrics[f"accuracy_task{place}"][row] for place in (kind, 1 - kind))
            assert own.nan_to_num(9) == apart[kind].metrics["accuracy"][row].nan_to_num(9)
            assert own.nan_to_num(9) == step.metrics["accuracy"][row].nan_to_num(9)
            assert step.metrics[f"reward_task{kind}"][row] == step.reward[row]
            assert other.isnan()
            kept, wanted = take(step.state.inner[kind], row), take(apart[kind].state, row)
            assert all(map(torch.equal, leaves(kept), leaves(wanted)))
        state, others = step.state, [one.state for one in apart]
    assert bool(step.terminated.all())


def test_a_task_ends_at_its_own_horizon_and_the_tasks_come_about_equally_often():
    env = envs.make_batched("palaestra/Copy-v0", 2000, seed=3, tasks=COPIES)
    env.reset()
    which, ends = env.state.which.clone(), torch.zeros(2000, dtype=torch.int64)
    assert abs(float(which.float().mean()) - 0.5) < 0.05
    for time in range(1, env.task.horizon + 1):
        ends = torch.where((ends == 0) & env.step(env.expert_action()).done, time, ends)
    lengths = [envs.make_task("palaestra/Copy-v0", **one).horizon for one in COPIES]
    assert lengths[0] < lengths[1]
    assert ends.tolist() == [lengths[kind] for kind in which.tolist()]


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "docstring"])
@pytest.mark.parametrize("shown", [False, True])
def test_the_public_checks_find_no_fault(name, shown):
    CHECKS[name](envs.make_task("palaestra/Copy-v0", tasks=COPIES, task_shown=shown))


def test_it_compiles_as_one_graph():
    task = envs.make_task("palaestra/Copy-v0", tasks=COPIES, task_shown=True)
    with branch_free():
        state, noise = task.reset(torch.rand(4, task.reset_noise)), torch.rand(4, task.step_noise)
        action = torch.zeros(4, dtype=torch.int64)
        step = torch.compile(task.step, fullgraph=True, backend="eager")(state, action, noise)
        assert all(map(torch.equal, leaves(step.state), leaves(task.step(state, action, noise).state)))


def test_tasks_may_be_of_several_environments_and_gymnasium_makes_them_too():
    both = [{"environment": ID, "delay": 2}, {"environment": "palaestra/RepeatPrevious-v0", "delay": 1}]
    task = gymnasium.make(ID, tasks=both, task_shown=True, frame_stack=2).unwrapped
    assert task.observation_space == spaces.Dict(
        {"observation": spaces.MultiDiscrete([4, 4]), "task": spaces.MultiDiscrete([2, 2])}
    )


def test_scores_are_means_and_what_a_task_makes_of_its_metrics_is_its_own():
    known = envs.scores("palaestra/Copy-v0", tasks=[{}, {"symbols": 8, "length": 4, "delay": 2}], task_shown=True)
    apart = [envs.scores("palaestra/Copy-v0", **one) for one in ({}, {"symbols": 8, "length": 4, "delay": 2})]
    assert known.random == pytest.approx((apart[0].random + apart[1].random) / 2)
    assert known.expert_error == pytest.approx(math.hypot(*(one.expert_error for one in apart)) / 2)
    assert known.trivial_action == [one.trivial_action for one in apart]
    task = envs.make_task("palaestra/Groups-v0", tasks=[{}, {"split": "train"}])
    metrics = {f"{name}_task1": 0.5 for name in task.tasks[1].step(*_first(task.tasks[1])).metrics}
    own = task.tasks[1].summarise({name.removesuffix("_task1"): 0.5 for name in metrics})
    assert {name.removesuffix("_task1") for name in task.summarise(metrics)} == set(own) > {"accuracy"}


def _first(task):
    noise = torch.rand(2, task.reset_noise)
    return task.reset(noise), torch.zeros(2, dtype=torch.int64), torch.rand(2, task.step_noise)


@pytest.mark.parametrize(
    ("id", "options", "expected"),
    [
        (ID, {"tasks": 3}, "RepeatPrevious: tasks must be a list of mappings from options to values, such as "),
        (ID, {"tasks": []}, "RepeatPrevious: tasks must be a list"),
        (ID, {"tasks": [{"tasks": [{}]}]}, "RepeatPrevious: tasks must be a list"),
        (ID, {"tasks": [{"delay": 0}]}, "RepeatPrevious: delay must be a whole number from 1 to 64; got 0"),
        (ID, {"tasks": [{}, {"symbols": 5}]}, "RepeatPrevious: tasks must share one observation space; task 0 has "),
        (ID, {"tasks": [{}] * 65}, "MultiTask: tasks must be from 1 to 64 of them; got 65"),
        (ID, {"task_shown": 1}, "RepeatPrevious: task_shown must be True or False; got 1"),
        (ID, {"tasks": [{"environment": 7}]}, "environment id must be one of"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(id, options, expected):
    with pytest.raises(InvalidInput) as caught:
        envs.make_task(id, **options)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_the_picture_tells_what_is_played_only_to_who_may_know():
    told = []
    for shown in (True, False):
        env = envs.make_batched(ID, 1, seed=0, tasks=DELAYS, task_shown=shown)
        env.reset()
        told.append([text for view in (True, False) for text in env.texts(spectator=view)])
    assert all("task 1 of 0 to 1" in text or "task 0 of 0 to 1" in text for text in [*told[0], told[1][0]])
    assert "task" not in told[1][1]
    assert "Which symbol" not in told[1][1]


def test_training_on_several_goes_on_where_it_stopped():
    check_resume("ppo", lambda: envs.make_batched(ID, 4, seed=2, tasks=DELAYS, task_shown=True), 64, **SMALL)


def test_the_scenarios_return_counts_as_its_tasks_would():
    scenario = catalogue.get("repeat-previous-several")
    task = envs.make_task(scenario.environment, **scenario.evaluation_options)
    assert isinstance(task, MultiTask)
    known = envs.scores(scenario.environment, **scenario.evaluation_options)
    assert (known.random, known.expert) == (pytest.approx(-0.5, abs=1e-3), 1.0)
