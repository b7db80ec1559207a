"""A saved run as the other side of a game."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from palaestra import envs
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.catalogue import Scenario
from palaestra.scenarios.playback import watch

SMALL = {"hidden": [8], "rollout_steps": 4, "minibatches": 2}
SIDES = {
    "palaestra/AttackDefend-v0": ("attacker", "defender"),
    "palaestra/GANGame-v0": ("generator", "discriminator"),
    "palaestra/Code-v0": ("sender", "receiver"),
}


def trained(id: str, player: str, agent: str = "ppo", **settings: object) -> Path:
    scenario = Scenario(
        name=f"small-{player}", title="T", description="D", environment=id, options={"player": player}, steps=64,
        num_envs=8, evaluation={"episodes": 8, "num_envs": 8},
    )  # fmt: skip
    return Path(runner.run(scenario, agent, settings={**SMALL, **settings}, root="runs").folder)


def test_every_game_of_two_is_known_here() -> None:
    assert [id for id in envs.ids() if issubclass(type_of(id), envs.Game)] == list(SIDES)
    assert {id: type_of(id).players for id in SIDES} == SIDES


def type_of(id: str) -> type:
    from palaestra.envs.registry import task_class

    return task_class(id)


@pytest.mark.parametrize(("id", "player", "other"), [(id, *sides) for id, sides in SIDES.items()])
def test_a_run_plays_the_other_side_of_every_game_as_its_policy_would(id: str, player: str, other: str) -> None:
    folder = trained(id, other)
    env = gymnasium.make(id, player=player, opponent=str(folder))
    env.reset(seed=3)
    task = env.unwrapped.task
    rival = task.opponents[other]
    agent = runner.load_agent(folder, envs.make_batched(id, 1, player=other))
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(rival.network.parameters(), agent.network.parameters(), strict=True)
    )
    for _ in range(3):
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(reward)
        if terminated or truncated:
            break


def test_self_play_gives_either_of_its_sides_and_a_recording_against_it_replays() -> None:
    id, (player, other) = "palaestra/GANGame-v0", SIDES["palaestra/GANGame-v0"]
    folder = trained(id, player, "self_play", rival={"hidden": [12]})
    for side, width in ((player, 8), (other, 12)):
        against = other if side == player else player
        task = envs.make_task(id, player=against, opponent=str(folder))
        sizes = {len(part) for part in task.opponents[side].network.parameters()}
        assert (width in sizes, 20 - width in sizes) == (True, False)
    scenario = catalogue.get("gan-game").with_options({"opponent": str(folder)})
    played = watch(scenario, "random", video=Path("one.gif"), episodes=2)
    played.save("one.json")
    assert watch(scenario, "one.json", video=Path("two.gif")) == played


def test_what_cannot_be_an_opponent_is_told_in_one_line(tiny: Path) -> None:
    folder = trained("palaestra/Code-v0", "sender")
    with pytest.raises(InvalidInput, match=r"Code: opponent must play 'receiver'; .* has learned to play 'sender'"):
        envs.make_task("palaestra/Code-v0", player="sender", opponent=str(folder))
    with pytest.raises(InvalidInput, match=r"GANGame: opponent must be a run of the same game; .* is one of Code"):
        envs.make_task("palaestra/GANGame-v0", opponent=str(folder))
    with pytest.raises(InvalidInput, match=r"Code: opponent must be without a memory; .* has one"):
        envs.make_task("palaestra/Code-v0", opponent=str(trained("palaestra/Code-v0", "receiver", memory="gru")))
    with pytest.raises(InvalidInput, match="Code: opponent must be one of 'codebook'"):
        envs.make_task("palaestra/Code-v0", opponent="runs/nowhere")


def test_a_function_can_be_an_opponent() -> None:
    task = envs.make_task("palaestra/GANGame-v0", opponent=lambda seen: torch.zeros(1))
    assert isinstance(task.opponents["discriminator"], envs.Opponent)
