"""Environments as text: the prompt, the answers that it takes, and the render mode that shows the same."""

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import envs
from palaestra.envs import NoExpert, TextEnv
from palaestra.neural_blocks.errors import InvalidInput

DISCRETE = [id for id in envs.ids() if isinstance(envs.make_task(id).action_space, spaces.Discrete)]
STEPS = 12  # of an episode that are played


@pytest.mark.parametrize("id", DISCRETE)
def test_the_experts_answers_in_words_play_as_its_actions_do(id: str) -> None:
    text, batch = TextEnv(id), envs.make_batched(id, 1, seed=5)
    text.reset(seed=5)
    batch.reset()
    for _ in range(STEPS):
        try:
            action = batch.expert_action()
        except NoExpert:
            action = torch.tensor([int(text.space.start)])
        named = [one.label for one in text.choices if one.action == int(action)]
        prompt, reward, terminated, truncated, _ = text.step(named[0] if named else str(int(action)))
        step = batch.step(action)
        assert (reward, terminated, truncated) == (float(step.reward), bool(step.terminated), bool(step.truncated))
        if text.ended:
            assert prompt.endswith("The episode is over.")
            return
        assert prompt.splitlines()[-1] == f"Answer with {text.allowed()}"


@pytest.mark.parametrize("id", DISCRETE)
def test_every_answer_that_a_prompt_names_is_an_action_of_its_own(id: str) -> None:
    env = TextEnv(id)
    count = int(env.space.n)
    listed = env.allowed().startswith("one of: ")
    answers = [one.label for one in env.choices] if listed else [str(k + env.space.start) for k in range(count)]
    assert {int(env.action(answer)) for answer in answers} == {k + env.space.start for k in range(count)}
    with pytest.raises(InvalidInput, match=r"answer must be (one of: |a whole number from )") as refused:
        env.action("something else\nentirely")
    assert "\n" not in str(refused.value)


def test_a_prompt_holds_what_is_seen_and_nothing_that_is_hidden() -> None:
    env = TextEnv("palaestra/Copy-v0", length=2)
    first = env.reset(seed=3)
    symbol = "ABCD"[int(env.batch.observation)]
    assert first.splitlines() == [
        "Read a sequence of symbols, then write it.",
        "",
        "Remember this symbol, and those to come",
        f"[{symbol}]",
        "what you press counts only once it says: write",
        "",
        "Answer with one of: A, B, C, D",
    ]
    env.step("a")
    prompt, *_ = env.step("B")
    assert "Write the symbols, in the order they came in" in prompt
    assert f"[{symbol}]" not in prompt
    prompt, reward, *_ = env.step(symbol)
    assert reward == 0.5
    assert "Last reward: 0.5; return so far: 0.5" in prompt


@pytest.mark.parametrize(
    ("id", "good", "bad", "told"),
    [
        ("palaestra/GANGame-v0", "0.5, -1", "0.5 2", "2 numbers with spaces between them, from -1 to 1; got '0.5 2'"),
        ("palaestra/GANGame-v0", "[0.5 -1]", "0.5", "2 numbers with spaces between them, from -1 to 1; got '0.5'"),
        ("palaestra/GANGame-v0", "0 0", "nan 0", "2 numbers with spaces between them, from -1 to 1; got 'nan 0'"),
        ("palaestra/Code-v0", "1 0 1", "1 0 0.5", "3 whole numbers with spaces between them, from 0 to 1; got"),
        ("palaestra/DigitBandit-v0", "7", "7.5", "one of: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; got '7.5'"),
        ("palaestra/DigitBandit-v0", " 7 ", "", "one of: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; got ''"),
    ],
)
def test_bad_answers_are_refused_in_one_line_and_change_nothing(id: str, good: str, bad: str, told: str) -> None:
    env = TextEnv(id)
    prompt = env.reset(seed=1)
    with pytest.raises(InvalidInput) as refused:
        env.step(bad)
    assert f"answer must be {told}" in str(refused.value)
    assert env.prompt() == prompt
    assert env.batch.task.action_space.contains(env.action(good))
    env.step(good)


def test_ansi_shows_a_players_view_in_every_adapter() -> None:
    id = "palaestra/Recall-v0"
    one = gymnasium.make(id, render_mode="ansi")
    many = gymnasium.make_vec(id, num_envs=2, render_mode="ansi")
    batch = envs.make_batched(id, 2, seed=4)
    one.reset(seed=4)
    many.reset(seed=4)
    batch.reset()
    assert many.render() == tuple(batch.texts())
    assert one.render() == batch.texts()[0]
    key, value = batch.observation[0].tolist()
    assert one.render().splitlines()[:2] == [
        "Remember which number comes with the letter", f"[{'ABCDEFGH'[key]}] [{value}]",
    ]  # fmt: skip
    assert batch.texts(spectator=True)[0].startswith("Remember these pairs\nshown, then hidden\n")
    game = envs.make_parallel("palaestra/GANGame-v0", render_mode="ansi")
    game.reset(seed=1)
    assert "point" in game.render()


@pytest.mark.parametrize("mode", [None, "rgb_array", "ansi"])
def test_frames_per_second_are_told_in_every_mode_and_adapter(mode: str | None) -> None:
    id = "palaestra/Copy-v0"
    made = [
        gymnasium.make(id, render_mode=mode),
        gymnasium.make_vec(id, num_envs=2, render_mode=mode),
        envs.make_sb3(id, 2),
        envs.make_parallel("palaestra/GANGame-v0", render_mode=mode),
    ]
    assert [env.metadata["render_fps"] for env in made] == [4, 4, 4, 4]
    assert mode is None or all(mode in env.metadata["render_modes"] for env in (made[0], made[1], made[3]))
    assert envs.GymnasiumBridge("CartPole-v1", 1).metadata["render_fps"] == 50


def test_an_environment_of_several_players_has_no_single_answer() -> None:
    with pytest.raises(InvalidInput, match="an answer must stand for one action; got Dict"):
        TextEnv(envs.make_game("palaestra/GANGame-v0"))
    assert np.asarray(TextEnv("palaestra/PatternCompletion-v0").action("0 1 " * 12 + "1")).shape == (25,)
