"""Wrong input is refused with one line that names the value and what is allowed."""

from __future__ import annotations

import inspect

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from palaestra.envs import (
    BatchedEnv,
    GymnasiumBridge,
    PalaestraVectorEnv,
    SingleEnv,
    Trial,
    ids,
    make_batched,
    make_sb3,
    make_task,
    scores,
)
from palaestra.envs.registry import task_class
from palaestra.neural_blocks.errors import InvalidInput

DIGITS, REPEAT, SYMBOL, ARMS, TABLE = (
    f"palaestra/{name}-v0"
    for name in ("DigitBandit", "RepeatPrevious", "NextSymbol", "BernoulliBandit", "TabularBandit")
)


def complaint(call, *args, **kwargs):
    """The one line that a call is refused with."""
    with pytest.raises(InvalidInput) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def started(task, num_envs=2, **options):
    env = BatchedEnv(task, num_envs, **options)
    env.reset()
    return env


@pytest.mark.parametrize("make", [make_task, scores, lambda id: make_batched(id, 2), lambda id: make_sb3(id, 2)])
def test_an_unknown_id_is_answered_with_the_nearest_right_one(make):
    message = complaint(make, "palaestra/DigitBandt-v0")
    assert message.startswith(f"environment id must be one of {len(ids())} names, such as 'palaestra/DigitBandit-v0', ")
    assert message.endswith("got 'palaestra/DigitBandt-v0' (did you mean 'palaestra/DigitBandit-v0'?)")


@pytest.mark.parametrize("id", ["DigitBandit", "", 7, None])
def test_an_id_that_is_no_id_is_refused(id):
    assert f"got {id!r}" in complaint(make_task, id)


@pytest.mark.parametrize("make", [make_task, gymnasium.make, gymnasium.make_vec, lambda id, **o: make_sb3(id, 2, **o)])
def test_an_unknown_option_is_answered_with_the_nearest_right_one(make):
    assert complaint(make, DIGITS, splt="test") == (
        "DigitBandit: option must be one of 'dataset', 'split', 'cache', 'domain', 'target', 'flag', 'rows', 'choice', "
        "'frame_stack', 'tasks', 'task_shown'; got 'splt' (did you mean 'split'?)"
    )


def test_the_episodes_of_a_trial_are_an_option_of_problem_tasks_only():
    assert "got 'episodes'" in complaint(make_task, DIGITS, episodes=3)
    assert complaint(make_task, ARMS, episodes=0) == (
        "BernoulliBandit: episodes must be a whole number from 1 to 1000000; got 0"
    )


@pytest.mark.parametrize(
    ("id", "options", "expected"),
    [
        (
            DIGITS,
            {"split": "tset"},
            "DigitBandit: split must be one of 'train', 'validation', 'test'; got 'tset' (did you mean 'test'?)",
        ),
        (DIGITS, {"split": 1}, "DigitBandit: split must be one of 'train', 'validation', 'test'; got 1"),
        (DIGITS, {"dataset": "minst"}, "got 'minst' (did you mean 'mnist'?)"),
        (TABLE, {"dataset": "irys"}, "got 'irys' (did you mean 'iris'?)"),
        (REPEAT, {"delay": 0}, "RepeatPrevious: delay must be a whole number from 1 to 64; got 0"),
        (REPEAT, {"delay": 65}, "RepeatPrevious: delay must be a whole number from 1 to 64; got 65"),
        (REPEAT, {"symbols": 4.0}, "RepeatPrevious: symbols must be a whole number from 2 to 26; got 4.0"),
        (REPEAT, {"symbols": True}, "RepeatPrevious: symbols must be a whole number from 2 to 26; got True"),
        (REPEAT, {"delay": 8, "length": 8}, "RepeatPrevious: length must be a whole number from 9 to 1000000; got 8"),
        (SYMBOL, {"source": "markof"}, "got 'markof' (did you mean 'markov'?)"),
        (SYMBOL, {"symbols": 17}, "NextSymbol: symbols must be a whole number from 2 to 16; got 17"),
        (SYMBOL, {"symbols": float("nan")}, "NextSymbol: symbols must be a whole number from 2 to 16; got nan"),
        (SYMBOL, {"source": "context-free", "symbols": 5}, "symbols must be even for source 'context-free'; got 5"),
        (SYMBOL, {"source": "context-free", "symbols": 10}, "from 2 to 8; got 10"),
        (SYMBOL, {"length": 0}, "NextSymbol: length must be a whole number from 1 to 1000000; got 0"),
        (ARMS, {"arms": 1}, "BernoulliBandit: arms must be a whole number from 2 to 1000; got 1"),
        (ARMS, {"arms": "five"}, "BernoulliBandit: arms must be a whole number from 2 to 1000; got 'five'"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(id, options, expected):
    assert complaint(make_task, id, **options).endswith(expected)


def test_a_whole_number_of_numpy_is_a_whole_number():
    assert make_task(REPEAT, symbols=np.int64(5)).action_space.n == 5


@pytest.mark.parametrize("num_envs", [0, -1, 2.0, None, "4", 10**9, 10**30, 1e9, True])
def test_a_batch_has_from_one_to_sixteen_million_environments(num_envs):
    assert complaint(make_batched, DIGITS, num_envs) == (
        f"DigitBandit: num_envs must be a whole number from 1 to 16777216; got {num_envs!r}"
    )


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ([0, 10], "DigitBandit: action must be from 0 to 9; got 10 in environment 1"),
        ([-1, 0], "DigitBandit: action must be from 0 to 9; got -1 in environment 0"),
        ([0, 1, 2], "DigitBandit: action must have shape (2,); got (3,)"),
        (3, "DigitBandit: action must have shape (2,); got ()"),
        ([[0], [1]], "DigitBandit: action must have shape (2,); got (2, 1)"),
        ([0.0, 1.0], "DigitBandit: action must be whole numbers; got dtype torch.float64"),
        (torch.zeros(2), "DigitBandit: action must be whole numbers; got dtype torch.float32"),
        (["a", "b"], "DigitBandit: action must be numbers of shape (2,); got ['a', 'b']"),
        ([0, [1, 2]], "DigitBandit: action must be numbers of shape (2,); got [0, [1, 2]]"),
        (None, "DigitBandit: action must be numbers of shape (2,); got None"),
        ([2**70, 0], f"DigitBandit: action must be numbers of shape (2,); got [{2**70}, 0]"),
        ([1j, 0], "DigitBandit: action must be whole numbers; got dtype torch.complex128"),
        (
            np.array([0, 2**64 - 1], np.uint64),
            f"DigitBandit: action must be from 0 to 9; got {2**64 - 1} in environment 1",
        ),
        (np.array([0, 11], np.uint16), "DigitBandit: action must be from 0 to 9; got 11 in environment 1"),
        (
            np.array(["2020-01-01"] * 2, "datetime64[D]"),
            "DigitBandit: action must be numbers of shape (2,); got array(",
        ),
        ({"action": 1}, "DigitBandit: action must be numbers of shape (2,); got {'action': 1}"),
        (
            torch.zeros(2, dtype=torch.int64, device="meta"),
            "action must be numbers of shape (2,); got tensor(..., device",
        ),
        (
            torch.eye(2, dtype=torch.int64).to_sparse(),
            "DigitBandit: action must be numbers of shape (2,); got tensor(ind",
        ),
        (
            torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)]),
            "action must be numbers of shape (2,); got nested",
        ),
    ],
)
@pytest.mark.parametrize("adapter", ["batched", "vector", "sb3"])
def test_a_wrong_discrete_action_is_refused(adapter, action, expected):
    if adapter == "sb3":
        env = make_sb3(DIGITS, 2)
    else:
        env = make_batched(DIGITS, 2) if adapter == "batched" else gymnasium.make_vec(DIGITS, 2)
    env.reset()
    assert expected in complaint(env.step, action)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (10, "DigitBandit: action must be from 0 to 9; got 10"),
        ([1], "DigitBandit: action must have shape (); got (1,)"),
        (1.0, "DigitBandit: action must be whole numbers; got dtype torch.float64"),
        ("one", "DigitBandit: action must be numbers of shape (); got 'one'"),
    ],
)
def test_a_wrong_action_of_a_single_environment_is_refused(action, expected):
    env = gymnasium.make(DIGITS).unwrapped
    env.reset(seed=0)
    assert complaint(env.step, action) == expected


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ([[0, np.nan], [0, 0]], "Walk: action must be from -1.0 to 1.0; got nan in environment 0"),
        ([[0, 0], [0, np.inf]], "Walk: action must be from -1.0 to 1.0; got inf in environment 1"),
        ([[0, 0], [-1.5, 0]], "Walk: action must be from -1.0 to 1.0; got -1.5 in environment 1"),
        ([0, 0], "Walk: action must have shape (2, 2); got (2,)"),
        (np.zeros((2, 2), complex), "Walk: action must be real numbers; got dtype torch.complex128"),
    ],
)
def test_a_wrong_box_action_is_refused(walk, action, expected):
    assert complaint(started(walk).step, action) == expected


def test_a_box_takes_whole_numbers_and_double_precision(walk):
    started(walk).step([[0, 1], [1, 0]])
    started(walk).step(np.full((2, 2), 0.5))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int64])
def test_whole_numbers_of_every_width_are_actions(dtype):
    env = make_batched(DIGITS, 2)
    env.reset()
    env.step(np.array([0, 9], dtype))


def test_a_refused_action_leaves_the_environment_where_it_was(walk):
    env, other = started(walk), started(walk)
    complaint(env.step, [[2, 0], [0, 0]])
    action = torch.zeros(2, 2)
    assert torch.equal(env.step(action).reward, other.step(action).reward)


@pytest.mark.parametrize("use", [lambda env: env.step([0, 0]), lambda env: env.observation, lambda env: env.frames(),
                                 lambda env: env.expert_action(), lambda env: env.state_dict()])  # fmt: skip
def test_nothing_works_before_reset(use):
    assert complaint(use, make_batched(DIGITS, 2)) == "DigitBandit: reset() must be called before anything else"


@pytest.mark.parametrize("use", [lambda env: env.step(0), lambda env: env.render(), lambda env: env.expert_action()])
def test_nothing_works_before_reset_in_a_single_environment(use):
    env = SingleEnv(make_task(DIGITS), "rgb_array")
    assert complaint(use, env) == "DigitBandit: reset() must be called before anything else"


def test_stepping_an_ended_episode_is_refused():
    env = SingleEnv(make_task(DIGITS))
    env.reset(seed=0)
    env.step(0)
    assert "have ended; reset them" in complaint(env.step, 0)
    envs = gymnasium.make_vec(DIGITS, 3, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    envs.step(np.zeros(3, int))
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    assert complaint(envs.step, np.zeros(3, int)) == (
        "DigitBandit: environments [1] have ended; reset them (reset_mask) before the next step"
    )


@pytest.mark.parametrize("device", ["meta", "x", "cuda:99", "cuda:x", "", 3, None, ["cpu"], torch.float32])
def test_a_device_that_cannot_hold_values_is_refused(device):
    for call in (make_batched, lambda id, n, device: GymnasiumBridge("CartPole-v1", n, device=device)):
        message = complaint(call, DIGITS, 2, device=device)
        assert ": device must be 'cpu' or one that PyTorch finds here, such as 'cuda'; got " in message
        assert len(message) < 300


def test_more_environments_than_memory_holds_are_refused_before_any_is_made(monkeypatch):
    from palaestra.envs.checks import room

    monkeypatch.setattr(room, "free_memory", lambda device: 2.0**20)
    make_batched(DIGITS, 100)
    assert complaint(make_batched, DIGITS, 10_000) == (
        "DigitBandit: num_envs 10000 needs about 5.0 MiB of memory; 1.0 MiB are free on cpu"
    )


@pytest.mark.parametrize("id", ids())
def test_every_whole_number_that_an_environment_takes_has_an_upper_bound(id):
    numbers = [name for name, value in defaults(id).items() if type(value) is int]
    for name in numbers:
        for value in (10**9, 10**30, 10**4400, 1e30, True):
            message = complaint(make_task, id, **{name: value})
            assert f"{name} must be a whole number from " in message
            assert len(message) < 200


def defaults(id):
    """The options of an environment with their defaults."""
    found = {name: one.default for name, one in inspect.signature(task_class(id)).parameters.items()}
    return found | ({"episodes": 1} if hasattr(task_class(id), "trial_episodes") else {})


@pytest.mark.parametrize("mode", [["SameStep"], 3, None, {}, "same_step"])
def test_a_mode_of_a_wrong_type_is_refused(mode):
    allowed = "autoreset_mode must be one of 'NextStep', 'SameStep', 'Disabled'; got "
    assert allowed in complaint(gymnasium.make_vec, DIGITS, 2, autoreset_mode=mode)
    assert allowed in complaint(BatchedEnv, make_task(DIGITS), 2, autoreset=mode)
    assert "render_mode must be one of" in complaint(SingleEnv, make_task(DIGITS), [mode])
    assert "array must be one of" in complaint(PalaestraVectorEnv, make_task(DIGITS), 2, array=[mode])


@pytest.mark.parametrize(
    "mask", [[1, 0, 1], np.array([True, False]), np.zeros(3, bool), None, "all", np.ones((3, 1), bool)]
)
def test_a_wrong_reset_mask_is_refused(mask):
    envs = gymnasium.make_vec(DIGITS, 3, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    message = complaint(envs.reset, options={"reset_mask": mask})
    assert message.startswith("DigitBandit: reset_mask must be bool of shape (3,) with at least one True; got ")


@pytest.mark.parametrize("seed", [-1, 1.5, "one", True, 2**62 + 1])
def test_a_wrong_seed_is_refused(seed):
    allowed = f"must be a whole number from 0 to {2**62}; got {seed!r}"
    for env in (gymnasium.make(DIGITS), gymnasium.make_vec(DIGITS, 2)):
        assert complaint(env.reset, seed=seed) == f"DigitBandit: seed {allowed}"
    assert complaint(gymnasium.make_vec(DIGITS, 2).reset, seed=[0, seed]) == f"DigitBandit: seed {allowed}"


def test_a_whole_number_of_numpy_is_a_seed():
    first, second = gymnasium.make(DIGITS), gymnasium.make(DIGITS)
    assert np.array_equal(first.reset(seed=np.int64(3))[0], second.reset(seed=3)[0])


@pytest.mark.parametrize("seed", [1.5, "one", True, 2**62 + 1, torch.zeros(3, dtype=torch.int64), torch.zeros(2)])
def test_a_wrong_seed_of_a_batch_is_refused(seed):
    assert complaint(make_batched, DIGITS, 2, seed=seed).startswith("DigitBandit: seed must be ")


@pytest.mark.parametrize("seed", [[1, 2, 3], [1]])
def test_a_list_of_seeds_names_every_row(seed):
    message = complaint(gymnasium.make_vec(DIGITS, 2).reset, seed=seed)
    assert message == f"DigitBandit: seed must be a list of 2 whole numbers or None; got {seed!r}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"array": "jax"}, "DigitBandit: array must be one of 'numpy', 'torch'; got 'jax'"),
        ({"autoreset_mode": "SameStp"}, "got 'SameStp' (did you mean 'SameStep'?)"),
        ({"render_mode": "human"}, "DigitBandit: render_mode must be one of 'rgb_array', 'ansi'; got 'human'"),
    ],
)
def test_a_wrong_option_of_the_vector_adapter_is_refused(options, expected):
    assert complaint(PalaestraVectorEnv, make_task(DIGITS), 2, **options).endswith(expected)


def test_an_unknown_render_mode_is_refused():
    assert complaint(SingleEnv, make_task(DIGITS), "rgb") == (
        "DigitBandit: render_mode must be one of 'human', 'rgb_array', 'ansi'; got 'rgb' (did you mean 'rgb_array'?)"
    )


def test_a_saved_batch_of_another_size_or_task_is_refused():
    saved = started(make_task(DIGITS), 3).state_dict()
    assert complaint(started(make_task(DIGITS), 2).load_state_dict, saved) == (
        "DigitBandit: saved state must have shape (2,); got (3,)"
    )
    fewer, more = started(make_task(DIGITS)), started(make_task(REPEAT, delay=1))
    assert "saved state must have" in complaint(more.load_state_dict, fewer.state_dict())
    one, two = started(make_task(SYMBOL)), started(make_task(DIGITS))
    extra = one.state_dict() | {"state": two.state_dict()["state"] + two.state_dict()["state"]}
    assert complaint(two.load_state_dict, extra) == "DigitBandit: saved state must have 2 tensors; got 4"


def test_a_trial_needs_a_task_of_problems():
    assert complaint(Trial, make_task(DIGITS), 3) == (
        "Trial: task must have problems that episodes can share; got DigitBandit"
    )


def test_the_bridge_refuses_a_wrong_action_and_a_step_before_reset():
    env = GymnasiumBridge("CartPole-v1", 2)
    assert complaint(env.step, [0, 0]) == "CartPole-v1: reset() must be called before anything else"
    env.reset()
    assert complaint(env.step, [0, 5]) == "CartPole-v1: action must be from 0 to 1; got 5 in environment 1"


@pytest.mark.parametrize(
    ("id", "options", "expected"),
    [
        (
            "CartPol-v1",
            {},
            "environment id 'CartPol-v1': Environment `CartPol` doesn't exist. Did you mean: `CartPole`?",
        ),
        ("no such id", {}, "environment id 'no such id': Malformed environment ID"),
        ("nowhere:Env-v0", {}, "environment id 'nowhere:Env-v0': "),
        ("CartPole-v1", {"colour": 1}, "unexpected keyword argument 'colour'"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "id 'FrozenLake-v1' with options {'map_name': '9x9'}: KeyError: '9x9'"),
    ],
)
def test_the_bridge_refuses_what_gymnasium_does_not_know(id, options, expected):
    assert expected in complaint(GymnasiumBridge, id, 1, **options)
