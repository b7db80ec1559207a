"""Recorded episodes, an agent's or a person's, as what another agent imitates."""

from pathlib import Path

import pytest
import torch

from palaestra import agents
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.playback import watch
from palaestra.scenarios.recording import demonstrate


def test_a_demonstration_is_what_was_seen_and_done(tiny_memory: Path) -> None:
    recording = watch(catalogue.get(tiny_memory), "random", video=Path("sheet.png"), episodes=3)
    env = make_environment(catalogue.get(tiny_memory), 1, seed=recording.seed)
    shown = demonstrate(recording, agents.make("behaviour_cloning", env))
    assert shown.start.flatten().tolist() == ([True] + [False] * 6) * 3
    assert shown.label.view(3, 7).tolist() == recording.episodes
    observation = env.reset()
    for step in range(21):
        assert torch.equal(shown.observation[step], observation)
        observation = env.step(shown.label[step]).observation


def test_a_recorded_expert_is_imitated_on_unseen_flowers(tiny: Path) -> None:
    shown = tiny.with_name("shown.yaml")
    shown.write_text(tiny.read_text().replace("split: test", "split: train"))
    watch(catalogue.get(shown), "expert", video=Path("sheet.png"), episodes=300).save("expert.json")
    chosen = {"hidden": [16], "learning_rate": 0.01, "minibatch_size": 64}
    row = runner.run(
        tiny, "behaviour_cloning", steps=300 * 30, settings=chosen, demonstrations="expert.json", root="runs"
    )
    assert (row.steps, row.agent) == (9000, "behaviour_cloning")
    assert row.return_mean >= 0.8  # a third by chance
    folder = Path(row.folder)
    Path("expert.json").unlink()  # the run keeps its own copy
    (folder / "checkpoint.pt").unlink()
    assert runner.resume(folder).return_mean == row.return_mean


def test_what_cannot_be_imitated_is_refused_before_anything_is_written(tiny: Path, tiny_memory: Path) -> None:
    watch(catalogue.get(tiny_memory), "expert", video=Path("sheet.png"), episodes=1).save("other.json")
    with pytest.raises(InvalidInput, match="'ppo' does not"):
        runner.run(tiny, "ppo", demonstrations="other.json", root="runs")
    with pytest.raises(InvalidInput, match="observation_space must be Box"):
        runner.run(tiny, "behaviour_cloning", demonstrations="other.json", root="runs")
    with pytest.raises(InvalidInput, match="not a readable recording"):
        runner.run(tiny, "behaviour_cloning", demonstrations="nowhere.json", root="runs")
    assert not Path("runs").exists()
