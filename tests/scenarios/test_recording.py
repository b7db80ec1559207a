"""Recorded episodes, an agent's or a person's: what is kept, what is refused, what another agent imitates."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.playback import watch
from palaestra.scenarios.recording import Recording, check_for_training, demonstrate, spelled_out
from palaestra.scenarios.seeds import CHECK_SEED, EVALUATION_SEED, PLAY_SEED


def recording(**changes: Any) -> Recording:
    """One right and one wrong answer to training flowers, and what is to be different about it."""
    content = {"environment": "palaestra/TabularBandit-v0", "options": {"split": "train"}, "seed": PLAY_SEED}
    return Recording(**{**content, "episodes": [[0], [1]], "returns": [0.0, 0.0], **changes})


def expert_of(path: Path, episodes: int = 2, **chosen: Any) -> Recording:
    return watch(catalogue.get(path), "expert", video=Path("sheet.png"), episodes=episodes, **chosen)


def test_a_demonstration_is_what_was_seen_and_done(tiny_memory: Path) -> None:
    recorded = watch(catalogue.get(tiny_memory), "random", video=Path("sheet.png"), episodes=3)
    env = make_environment(catalogue.get(tiny_memory), 1, seed=recorded.seed)
    shown = demonstrate(recorded, agents.make("behaviour_cloning", env))
    assert shown.start.flatten().tolist() == ([True] + [False] * 6) * 3
    assert shown.label.view(3, 7).tolist() == recorded.episodes
    observation = env.reset()
    for step in range(21):
        assert torch.equal(shown.observation[step], observation)
        observation = env.step(shown.label[step]).observation


def test_parts_of_episodes_are_demonstrated_up_to_where_they_were_left(tiny_memory: Path) -> None:
    whole = expert_of(tiny_memory)
    parts = [whole.episodes[0][:3], [], whole.episodes[1][:5]]
    cut = whole.model_copy(update={"episodes": parts, "returns": [0.0, 0.0, 0.0]})
    env = make_environment(catalogue.get(tiny_memory), 1)
    with pytest.raises(InvalidInput, match="episode 1 of the recording must have the return"):
        demonstrate(cut, agents.make("behaviour_cloning", env))
    cut = whole.model_copy(update={"episodes": [parts[0]], "returns": [2 / 6]})
    shown = demonstrate(cut, agents.make("behaviour_cloning", env))
    assert shown.label.flatten().tolist() == parts[0]
    assert shown.start.flatten().tolist() == [True, False, False]


def test_a_part_of_an_episode_is_imitated(tiny_memory: Path) -> None:
    whole = expert_of(tiny_memory)
    whole.model_copy(update={"episodes": [whole.episodes[0][:4]], "returns": [0.5]}).save("part.json")
    row = runner.run(tiny_memory, "behaviour_cloning", steps=200, demonstrations="part.json", root="runs")
    assert row.agent == "behaviour_cloning"


def test_a_foreign_environments_episodes_are_demonstrated_without_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "cartpole.yaml"
    path.write_text("{name: pole, title: T, description: D, environment: CartPole-v1, steps: 64, num_envs: 2}")
    recorded = watch(catalogue.get(path), "random", video=Path("pole.gif"), episodes=2)
    agent = agents.make("behaviour_cloning", make_environment(catalogue.get(path), 1))
    shown = demonstrate(recorded, agent)
    assert shown.label.flatten().tolist() == [action for actions in recorded.episodes for action in actions]
    assert int(shown.start.sum()) == 2


def test_a_recorded_expert_is_imitated_on_unseen_flowers(tiny: Path) -> None:
    expert_of(tiny, 300).save("expert.json")
    chosen = {"hidden": [16], "learning_rate": 0.01, "minibatch_size": 64}
    row = runner.run(
        tiny, "behaviour_cloning", steps=300 * 30, settings=chosen, demonstrations="expert.json", root="runs"
    )
    assert (row.steps, row.agent) == (300, "behaviour_cloning")  # what it saw, however often
    assert row.return_mean >= 0.8  # a third by chance
    folder = Path(row.folder)
    Path("expert.json").unlink()  # the run keeps its own copy
    (folder / "checkpoint.pt").unlink()
    assert runner.resume(folder).return_mean == row.return_mean


def test_what_cannot_be_imitated_is_refused_before_anything_is_written(tiny: Path, tiny_memory: Path) -> None:
    expert_of(tiny_memory, 1).save("other.json")
    with pytest.raises(InvalidInput, match="'ppo' does not"):
        runner.run(tiny, "ppo", demonstrations="other.json", root="runs")
    with pytest.raises(InvalidInput, match="must be of palaestra/TabularBandit-v0; got one of 'palaestra/RepeatPrev"):
        runner.run(tiny, "behaviour_cloning", demonstrations="other.json", root="runs")
    with pytest.raises(InvalidInput, match="not a readable recording"):
        runner.run(tiny, "behaviour_cloning", demonstrations="nowhere.json", root="runs")
    expert_of(tiny, 1, options="evaluation").save("scored.json")
    with pytest.raises(InvalidInput, match="must be made with the training's options"):
        runner.run(tiny, "behaviour_cloning", demonstrations="scored.json", root="runs")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "evaluation"},
        {"options": {"split": "test"}},
        {"options": {"dataset": "iris", "split": "test"}},  # the default, spelled out
        {"options": {"split": "validation"}},
        {"options": {"dataset": "wine", "split": "test"}},
        {"seed": EVALUATION_SEED},
        {"seed": CHECK_SEED + 5 * 2**24},
    ],
)
def test_a_recording_of_the_evaluation_is_refused_for_training(tiny: Path, changes: dict[str, Any]) -> None:
    scenario = catalogue.get(tiny)
    check_for_training(recording(), scenario)
    check_for_training(recording(options={}), scenario)  # split: train is the default
    check_for_training(recording(options={"split": "train", "dataset": "iris"}), scenario)
    with pytest.raises(InvalidInput, match="a recording to train on must be made with the training's") as caught:
        check_for_training(recording(**changes), scenario)
    assert "\n" not in str(caught.value)


def test_evaluation_options_other_than_the_split_are_known_too(tiny_memory: Path) -> None:
    scored = {"delay": 2}
    scenario = catalogue.get(tiny_memory)
    scenario = scenario.model_copy(update={"evaluation": scenario.evaluation.model_copy(update={"options": scored})})
    changed = recording(environment=scenario.environment, options={"length": 7, "symbols": 2, "delay": 2})
    with pytest.raises(InvalidInput, match="episodes: delay 1; got delay 2"):
        check_for_training(changed, scenario)
    check_for_training(recording(environment=scenario.environment, options={"length": 9, "delay": 1}), scenario)


def test_options_are_spelled_out_with_their_defaults() -> None:
    own = spelled_out("palaestra/BernoulliBandit-v0", {})
    assert own == {"arms": 5, "episodes": 10}
    assert spelled_out("palaestra/AttackDefend-v0", {})["player"] == "attacker"
    assert spelled_out("FrozenLake-v1", {}) == spelled_out("FrozenLake-v1", {"map_name": "4x4", "is_slippery": True})
    assert spelled_out("Nowhere-v0", {"a": (1, 2)}) == {"a": [1, 2]}


def test_a_recording_is_read_as_it_was_written() -> None:
    first = recording(episodes=[[[0.5, 1], [[0, 1], [2, 3]]], []], view="player", purpose="training", player="human")
    first.save("r.json")
    assert Recording.load("r.json") == first
    assert json.loads(Path("r.json").read_text())["view"] == "player"


GOOD = {
    "environment": "palaestra/TabularBandit-v0", "options": {}, "seed": 3, "episodes": [[0]], "returns": [1.0],
    "purpose": "training", "view": "player", "player": "human",
}  # fmt: skip
WRONG: dict[str, list[Any]] = {
    "environment": [None, 3, "", [], {}, True, "x" * 300],
    "options": [None, 3, "split", [["split", "test"]], True],
    "seed": [None, "3", 0.5, 1e30, 10**30, -(2**70), True, [3]],
    "episodes": [
        None, 3, {}, "0", [0], [[None]], [["0"]], [[True]], [[{}]], [[[True]]], [[[None]]], [[10**40]], [[1e300]],
        [[[[[[[[[[[[[0]]]]]]]]]]]]],
    ],
    "returns": [None, 3, [], [None], ["1"], [[1.0]], [True], [1.0, 2.0]],
    "purpose": ["test", 3, ["training"]],
    "view": ["all", 0, True],
    "player": [None, 3, "x" * 600],
    "unknown": [1],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_in_a_recording_is_one_line(key: str, value: Any) -> None:
    Path("r.json").write_text(json.dumps({**GOOD, key: value}))
    with pytest.raises(InvalidInput, match=f"r.json: not a readable recording: .*{key}") as caught:
        Recording.load("r.json")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["environment", "options", "seed", "episodes", "returns"])
def test_a_missing_value_is_named(key: str) -> None:
    Path("r.json").write_text(json.dumps({name: value for name, value in GOOD.items() if name != key}))
    with pytest.raises(InvalidInput, match=f"not a readable recording: {key} is required"):
        Recording.load("r.json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    for key in ("seed", "episodes", "returns"):
        text = json.dumps({**GOOD, key: "@"}).replace('"@"', {"episodes": f"[[{number}]]"}.get(key, f"[{number}]"))
        Path("r.json").write_text(text if key != "seed" else text.replace(f"[{number}]", number))
        with pytest.raises(InvalidInput, match="not a readable recording"):
            Recording.load("r.json")


def test_whatever_byte_is_damaged_a_recording_is_read_or_refused_in_one_line(tiny: Path) -> None:
    text = expert_of(tiny, 4).model_dump_json().encode()
    rng = np.random.default_rng(0)
    agent = agents.make("behaviour_cloning", make_environment(catalogue.get(tiny), 1))
    refused = []
    for place in rng.choice(len(text), 120, replace=False):
        damaged = bytearray(text)
        damaged[place] ^= 1 << int(rng.integers(8))
        Path("r.json").write_bytes(damaged[: None if place % 5 else place])
        try:
            found = Recording.load("r.json")
            check_for_training(found, catalogue.get(tiny))
            demonstrate(found, agent)
        except InvalidInput as error:
            refused.append(str(error))
    assert len(refused) > 60
    assert not any("\n" in told for told in refused)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "[" * 100_000, "\ud800", '{"a": ' * 5000])
def test_what_is_no_recording_is_refused(text: str) -> None:
    Path("r.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InvalidInput, match=r"r\.json: not a readable recording"):
        Recording.load("r.json")


def test_an_empty_recording_says_so() -> None:
    for episodes in ([], [[]], [[], []]):
        recording(episodes=episodes, returns=[0.0] * len(episodes)).save("r.json")
        with pytest.raises(InvalidInput, match=r"r.json: the recording is empty: nothing was played in it"):
            Recording.load("r.json")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"episodes": [[0.7], [1]]}, "episode 1, step 1 of the recording: .* must be whole numbers"),
        ({"episodes": [[0.0], [1]]}, "episode 1, step 1 of the recording: .* must be whole numbers"),
        ({"episodes": [[3], [1]]}, "episode 1, step 1 of the recording: .* must be from 0 to 2; got 3"),
        ({"episodes": [[-1], [1]]}, "must be from 0 to 2; got -1"),
        ({"episodes": [[[0]], [1]]}, "must have shape"),
        ({"episodes": [[[0, [1]]], [1]]}, "episode 1, step 1 of the recording"),
        ({"episodes": [[0, 0], [1]]}, "episode 1 of the recording must end with step 1; it goes on"),
        ({"returns": [1.0, 0.0]}, "episode 1 of the recording must have the return 0 of its actions; got 1.0"),
        ({"options": {"splt": "train"}}, "option must be one of .*'splt'"),
        ({"options": {"split": "tran"}}, "split must be one of"),
        ({"environment": "palaestra/Nowhere-v0"}, "Nowhere"),
    ],
)
def test_a_recording_that_does_not_fit_its_environment_is_refused(changes: dict, told: str) -> None:
    env = make_environment(catalogue.get("tabular"), 1)
    agent = agents.make("behaviour_cloning", env)
    whole = recording(options={"dataset": "iris"}, seed=0)
    wrong = [(int(label) + 1) % 3 for label in _labels(2)]
    whole = whole.model_copy(update={"episodes": [[wrong[0]], [wrong[1]]]})
    demonstrate(whole, agent)
    with pytest.raises(InvalidInput, match=told):
        demonstrate(whole.model_copy(update=changes), agent)


def _labels(count: int) -> list[int]:
    """The classes of the first flowers of seed 0."""
    env = make_environment(catalogue.get("tabular").model_copy(update={"options": {"dataset": "iris"}}), 1, seed=0)
    env.reset(0)
    found = []
    for _ in range(count):
        found.append(int(env.expert_action()[0]))
        env.step(torch.tensor([0]))
    return found


def test_boxes_are_recorded_and_replayed_exactly(tmp_path: Path) -> None:
    played = watch(catalogue.get("point-goal"), "random", video=Path("v.png"), episodes=1)
    played.save("r.json")
    env = make_environment(catalogue.get("point-goal"), 1)
    demonstrate(Recording.load("r.json"), agents.make("behaviour_cloning", env))
    wide = played.model_copy(update={"episodes": [[[0.11, 0.0]]], "returns": [0.0]})
    with pytest.raises(InvalidInput, match=r"must be from -0\.1.* to 0\.1"):
        demonstrate(wide, agents.make("behaviour_cloning", env))
