"""Two people at one keyboard."""

import numpy as np
import pytest

from palaestra import envs
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue
from palaestra.scenarios.playback import watch, window
from palaestra.scenarios.seeds import PLAY_SEED


def test_two_people_choose_one_after_the_other_and_see_each_their_own(press, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = catalogue.get("gan-game")
    names: list[str] = []
    draw = window.Window._draw

    def spy(self) -> None:
        names.append(self.told.player)
        draw(self)

    monkeypatch.setattr(window.Window, "_draw", spy)
    press("up", "return", "up", "up", "return", "escape")
    played = watch(scenario, "human", opponent="human", episodes=1)
    first, second = "the generator; the discriminator looks away", "now the discriminator; the generator looks away"
    assert list(dict.fromkeys(names)) == [first, second]
    assert names.index(second) < len(names) - 1 - names[::-1].index(first)
    (mine,) = played.episodes[0]
    assert mine[0] == pytest.approx(0.1)
    game = envs.make_batched("palaestra/GANGame-v0", 1, opponent=lambda seen: seen_by_second(seen), seed=PLAY_SEED)
    game.reset()
    step = game.step(np.asarray([mine], dtype=np.float32))
    assert played.returns == [pytest.approx(float(step.reward))]


def seen_by_second(seen):
    """What two presses of "up" choose: a tenth above the middle each."""
    import torch

    space = envs.make_game("palaestra/GANGame-v0").action_space["discriminator"]
    low, high = float(space.low.flat[0]), float(space.high.flat[0])
    start = min(max(0.0, low), high)
    return torch.tensor([[start + 2 * (high - low) / 20, *[start] * (space.shape[0] - 1)]], dtype=torch.float32)


def test_a_second_person_is_for_games_and_beside_a_first_one() -> None:
    with pytest.raises(InvalidInput, match="game id must be one of"):
        watch(catalogue.get("digits"), "human", opponent="human")
    with pytest.raises(InvalidInput, match="agent must be 'human'; got 'expert'"):
        watch(catalogue.get("gan-game"), "expert", opponent="human")
    with pytest.raises(InvalidInput, match="opponent must be one of 'human'; got 'dog'"):
        watch(catalogue.get("gan-game"), "human", opponent="dog")
