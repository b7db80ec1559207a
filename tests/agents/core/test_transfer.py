"""Transfer of a whole agent's weights: what fits is taken over, what does not stays and is named."""

import pytest
import torch

import palaestra.envs as envs
from palaestra import agents
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.core.transfer import take_over, weights_of
from palaestra.neural_blocks.errors import InvalidInput


def made(id, name="ppo", **config):
    env = envs.make_batched(f"palaestra/{id}-v0", 2)
    return agents.make(name, env, hidden=(6,), **config)


def test_equal_shapes_are_taken_over_and_other_heads_are_new():
    first, second = made("NextSymbol", seed=1), made("Brackets", seed=2)  # Discrete(4) seen and done, against 5 and 3
    first.save("agent.pt")
    before = {key: part.clone() for key, part in second.network.state_dict().items()}
    told = take_over(second, read_checkpoint("agent.pt"), "agent.pt")
    own, other = second.network.state_dict(), first.network.state_dict()
    names = {name.removeprefix("network.") for name in told.taken}
    assert names == {key for key, part in own.items() if other[key].shape == part.shape}
    assert all(torch.equal(own[key], other[key] if key in names else before[key]) for key in own)
    assert told.new["network.actor.layers.0.weight"] == "6 x 5, not 6 x 4"
    assert f"{len(told.taken)} of {len(own)} weights taken over; new: " in str(told)


def test_all_of_an_equal_agent_is_taken_over_but_nothing_else():
    first, second = made("NextSymbol", "dqn", seed=1), made("NextSymbol", "dqn", seed=2)
    first.save("agent.pt")
    told = take_over(second, read_checkpoint("agent.pt"), "agent.pt")
    assert told.new == {}
    assert "new" not in str(told)
    ours, theirs = second.state_dict(), first.state_dict()
    assert all(torch.equal(part, theirs["networks"][key]) for key, part in ours["networks"].items())
    assert ours["randomness"]["seed"] == 2


def test_nothing_that_fits_is_refused():
    made("NextSymbol").save("agent.pt")
    with pytest.raises(InvalidInput, match=r"agent\.pt: no weights of 'ppo' there fit those of 'random' here"):
        take_over(
            agents.make("random", envs.make_batched("palaestra/Brackets-v0", 2)),
            read_checkpoint("agent.pt"),
            "agent.pt",
        )


def test_what_only_a_run_itself_needs_is_left_out():
    made("NextSymbol").save("agent.pt", seconds=3)
    kept = weights_of(read_checkpoint("agent.pt"))
    assert set(kept["state"]) == {"network"}
    assert kept["extra"] == {}
