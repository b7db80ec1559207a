"""Two processes that share a batch learn what one process with the whole batch learns."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from palaestra import agents, envs
from palaestra.agents.core.processes import Processes, mean, share
from palaestra.agents.core.randomness import ACT, ORDER, Randomness
from palaestra.neural_blocks.errors import InvalidInput

from .in_processes import CASES, ENVIRONMENTS, learned


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of two processes says of every case."""
    folder = tmp_path_factory.mktemp("together")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "palaestra.tests.agents.learning.in_processes", str(folder)]
    started = [subprocess.Popen(command, env={**place, "RANK": rank}, cwd=folder) for rank in "01"]
    try:
        assert [process.wait(240) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def apart(one, other, path="") -> dict[str, float]:
    """The largest difference at each place where two trees of tensors and numbers differ; their shapes are the same."""
    if isinstance(one, dict):
        assert list(one) == list(other), path
        return {k: v for key in one for k, v in apart(one[key], other[key], f"{path}.{key}").items()}
    if isinstance(one, list | tuple):
        assert len(one) == len(other), path
        return {
            k: v for n, pair in enumerate(zip(one, other, strict=True)) for k, v in apart(*pair, f"{path}.{n}").items()
        }
    if one is None or isinstance(one, str):
        assert one == other
        return {}
    one, other = torch.as_tensor(one).double(), torch.as_tensor(other).double()
    assert one.shape == other.shape, path
    assert torch.equal(one.isnan(), other.isnan()), path
    found = float((one - other).nan_to_num().abs().max()) if one.numel() else 0.0
    return {path: found} if found else {}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_with_twice_the_environments_learns(case, together):
    alone = learned(case)
    first, second = (found[case] for found in together)
    assert apart(first["after"], second["after"]) == {}
    assert max(apart(first["reports"], second["reports"]).values(), default=0) == 0
    weights = "networks" if case == "dqn" else "network"
    moved = apart(alone["before"][weights], alone["after"][weights])
    assert max(moved.values()) > 0.01
    assert all(size < 2e-5 for size in apart(alone["after"], first["after"]).values()), case
    assert all(size < 1e-4 for size in apart(alone["reports"], first["reports"]).values()), case


def test_columns_of_all_processes_are_those_chosen_and_their_weights_give_the_mean():
    generator = torch.Generator().manual_seed(0)
    chosen, values = torch.randint(24, (10,), generator=generator), torch.randn(2, 24, generator=generator)
    found, total = [], torch.zeros(())
    for rank in range(3):  # of two environments each, four sequences of every environment
        columns, weight = Processes(rank, 3).columns(chosen, 2)
        assert weight is not None
        whole = columns // 2 * 6 + rank * 2 + columns % 2
        found += whole.tolist()
        total += mean(values[:, whole], weight)
    assert sorted(found) == sorted(chosen.tolist())
    torch.testing.assert_close(total, values[:, chosen].mean())


def test_a_process_without_a_column_has_one_that_weighs_nothing():
    columns, weight = Processes(1, 2).columns(torch.tensor([0, 1, 4]), 2)
    assert columns.tolist() == [0]
    assert weight.tolist() == [0.0]


def test_rows_of_environments_are_drawn_as_those_of_the_whole_and_orders_alike():
    whole, second = Randomness(5), Randomness(5, rank=1)
    for _ in range(3):
        assert torch.equal(second.uniform(ACT, 4, 2), whole.uniform(ACT, 8, 2)[4:])
    assert torch.equal(second.steps(ACT, 3, 4, 2), whole.steps(ACT, 3, 8, 2)[:, 4:])
    assert torch.equal(second.permutations(ORDER, 2, 9), whole.permutations(ORDER, 2, 9))
    assert torch.equal(second.copy().uniform(ACT, 4, 2), whole.copy().uniform(ACT, 8, 2)[4:])


def test_what_cannot_learn_in_processes_says_so_in_one_line():
    env = envs.make_batched("palaestra/TabularBandit-v0", ENVIRONMENTS)
    with pytest.raises(InvalidInput, match=r"^dagger: learns in one process; got 2$"):
        agents.make("dagger", env).join(Processes(0, 2))
    with pytest.raises(
        InvalidInput, match=r"^ppo: execution must be 'eager' in several processes, .*; got 'compiled'$"
    ):
        agents.make("ppo", env, execution="compiled").join(Processes(0, 2))
    with pytest.raises(InvalidInput, match=r"^num_envs must be a multiple of the 3 processes; got 16$"):
        share(16, Processes(0, 3))
