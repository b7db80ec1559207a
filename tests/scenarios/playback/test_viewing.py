"""Who plays which episodes, how they are seen, and what is kept of them."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pygame
import pytest
import torch

from palaestra import envs
from palaestra.envs.core.task import NoExpert
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.playback import watch
from palaestra.scenarios.recording import Recording
from palaestra.scenarios.seeds import CHECK_SEED, EVALUATION_SEED, PLAY_SEED, PLAY_SPAN, SEED_SPAN


def test_a_trained_run_plays_as_it_was_recorded(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    recording = Recording.load(folder / "recording.json")
    played = watch(catalogue.get(tiny), str(folder), video=Path("run.gif"), episodes=len(recording.episodes))
    assert (played.seed, played.episodes, played.returns) == (recording.seed, recording.episodes, recording.returns)
    assert (recording.purpose, recording.options, recording.view) == ("evaluation", {"split": "test"}, None)
    shown = watch(catalogue.get(tiny), str(folder), video=Path("run.gif"), episodes=1, options="training")
    assert (shown.purpose, shown.options, shown.view) == ("training", {"split": "train"}, "spectator")


def test_a_foreign_environment_renders_its_own_frames(tmp_path: Path) -> None:
    path = tmp_path / "cartpole.yaml"
    path.write_text("{name: pole, title: T, description: D, environment: CartPole-v1, steps: 64, num_envs: 2}")
    played = watch(catalogue.get(path), "random", video=Path("pole.mp4"), episodes=1)
    assert iio.imread("pole.mp4").shape == (1 + len(played.episodes[0]), 400, 600, 3)
    with pytest.raises(NoExpert, match="CartPole-v1 has no expert"):
        watch(catalogue.get(path), "expert", video=Path("none.gif"), episodes=1)
    assert not Path("none.gif").exists()


def test_people_the_expert_and_random_play_the_trainings_options(tiny: Path, press) -> None:
    press("0", "escape")
    by_hand = watch(catalogue.get(tiny), "human", episodes=1)
    by_expert = watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=1)
    for played in (by_hand, by_expert):
        assert (played.options, played.purpose, played.seed) == ({"split": "train"}, "training", PLAY_SEED)
    assert (by_hand.view, by_expert.view) == ("player", "spectator")
    assert (by_hand.player, by_expert.player) == ("human", "expert")


def test_what_people_play_has_seeds_of_its_own() -> None:
    most = 2**31 - 1  # the largest seed of a run
    for first in (SEED_SPAN, EVALUATION_SEED, CHECK_SEED):
        assert first + (most + 1) * SEED_SPAN < PLAY_SEED
    assert PLAY_SEED + PLAY_SPAN < 2**62


def test_a_person_is_never_shown_the_test_split(tiny: Path) -> None:
    with pytest.raises(InvalidInput, match="those of the evaluation stay unseen"):
        watch(catalogue.get(tiny), "human", options="evaluation")
    tested = catalogue.get(tiny).model_copy(update={"options": {"split": "test"}})
    with pytest.raises(InvalidInput, match="those of the evaluation stay unseen"):
        watch(tested, "human")


def test_no_picture_that_a_person_labels_is_a_test_picture(press) -> None:
    press(*["1", "space"] * 12, "escape")
    played = watch(catalogue.get("digits"), "human", episodes=12)
    assert len(played.episodes) == 12
    env = envs.make_batched("palaestra/DigitBandit-v0", 1, **played.options)
    test = envs.make_task("palaestra/DigitBandit-v0", split="test").inputs.flatten(1)
    env.reset(played.seed)
    for (action,) in played.episodes:
        assert not bool((test == env.observation.flatten()).all(1).any())
        env.step(torch.tensor([action]))


def test_a_person_plays_with_number_keys(tiny: Path, press) -> None:
    truth = watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=2)
    first, second = (str(actions[0]) for actions in truth.episodes)
    wrong = str((int(second) + 1) % 3)
    press("x", first, "space", wrong, "return")  # x is no answer
    played = watch(catalogue.get(tiny), "human", episodes=2)
    assert played.returns == [1.0, 0.0]
    assert played.episodes == [[int(first)], [int(wrong)]]


def test_escape_keeps_the_part_of_an_episode_that_was_played(tiny_memory: Path, press) -> None:
    press("a", "b", "a", "escape")
    played = watch(catalogue.get(tiny_memory), "human", episodes=5)
    assert played.episodes == [[0, 1, 0]]
    played.save("part.json")
    assert Recording.load("part.json") == played
    video = watch(catalogue.get(tiny_memory), "part.json", video=Path("part.gif"))
    assert video == played
    assert iio.imread("part.gif").shape[0] == 4


def test_backspace_plays_an_episode_again_and_tab_leaves_it(tiny_memory: Path, press) -> None:
    press("a", "a", "backspace", "b", "tab", "a", "escape")
    played = watch(catalogue.get(tiny_memory), "human", episodes=5)
    assert played.episodes == [[1], [0]]
    played.save("left.json")
    assert watch(catalogue.get(tiny_memory), "left.json", video=Path("left.gif")).returns == played.returns


def test_a_window_closed_at_once_leaves_nothing_to_keep(tiny: Path, press) -> None:
    press("escape")
    assert watch(catalogue.get(tiny), "human").episodes == []


def test_the_window_stays_until_a_key_is_pressed(tiny: Path, press, pressed_after) -> None:
    press("0")
    closed = pressed_after("escape", seconds=0.6)
    watch(catalogue.get(tiny), "human", episodes=1)
    assert closed.is_set(), "the window closed by itself"
    assert pygame.display.get_surface() is None


def test_a_recording_plays_in_a_window_and_can_be_skipped_stepped_and_repeated(tiny_memory: Path, press) -> None:
    recording = watch(catalogue.get(tiny_memory), "expert", video=Path("v.gif"), episodes=3)
    recording.save("r.json")
    press("space", "right", "right", "backspace", "right", "tab", "tab", "space", "escape")
    assert watch(catalogue.get(tiny_memory), "r.json", frames_per_second=1000) == recording


def test_an_agent_plays_in_a_window_without_a_person(tiny: Path, press) -> None:
    press("up", "down")
    expected = watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=2)
    shown = watch(catalogue.get(tiny), "expert", episodes=2, frames_per_second=1000)
    assert shown == expected


def test_a_recording_of_another_environment_is_refused(tiny: Path, tiny_memory: Path) -> None:
    watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=1).save("r.json")
    with pytest.raises(InvalidInput, match=r"recording must be of palaestra/RepeatPrevious-v0"):
        watch(catalogue.get(tiny_memory), "r.json", video=Path("w.gif"))


def test_a_video_shows_the_view_that_is_asked_for(tiny_memory: Path) -> None:
    frames = {}
    for view in ("player", "spectator"):
        played = watch(catalogue.get(tiny_memory), "expert", video=Path(f"{view}.png"), episodes=1, view=view)
        assert played.view == view
        frames[view] = iio.imread(f"{view}.png").astype(int)
    assert np.abs(frames["player"] - frames["spectator"]).mean() > 1


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"view": "palyer"}, "view must be one of 'player', 'spectator'; got 'palyer' .did you mean 'player'"),
        ({"options": "test"}, "options must be one of 'training', 'evaluation'; got 'test'"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": 2**31}, "seed must be a whole number from 0"),
        ({"frames_per_second": 0}, "frames_per_second must be a number from 0.01"),
        ({"video": Path("v.avi")}, r"video must end in .mp4, .gif, .png, .html; got 'v.avi'"),
        ({"video": Path("v.gif")}, "player 'human' takes no video"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(tiny: Path, chosen: dict, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        watch(catalogue.get(tiny), "human", **chosen)
