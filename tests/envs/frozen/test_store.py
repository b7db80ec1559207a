"""The shipped weights: written, read, and small."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from palaestra.envs.frozen import __main__ as command
from palaestra.envs.frozen import store
from palaestra.envs.frozen.store import Recipe, load, save
from palaestra.neural_blocks.errors import InvalidInput


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Nothing is written beside the shipped weights."""
    shipped = store.FOLDER
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    return shipped


def test_weights_come_back_in_half_precision_and_frozen():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    network(torch.randn(8, 3))  # a running mean, and a whole number of batches
    save("small", network)
    read = load("small", nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    for key, value in network.state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(read.state_dict()[key], expected)
        assert read.state_dict()[key].dtype == expected.dtype
    assert not read.training
    assert not any(parameter.requires_grad for parameter in read.parameters())


def test_a_missing_a_damaged_and_a_foreign_file_are_refused():
    again = "python -m palaestra.envs.frozen small"
    with pytest.raises(InvalidInput, match=again):
        load("small", nn.Linear(3, 4))
    path = save("small", nn.Linear(3, 4))
    with pytest.raises(InvalidInput, match=f"(?s)'small' could not be read .*{again}"):
        load("small", nn.Linear(3, 5))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidInput, match=again):
        load("small", nn.Linear(3, 4))


def test_the_command_trains_and_writes_what_is_named(monkeypatch, capsys):
    def train(network):
        nn.init.constant_(network.bias, 0.25)

    monkeypatch.setattr(
        command, "RECIPES", {name: Recipe(lambda: nn.Linear(2, 1), train) for name in ("wanted", "other")}
    )
    monkeypatch.setattr(sys, "argv", ["frozen", "wanted"])
    command.main()
    assert "wanted" in capsys.readouterr().out
    assert float(load("wanted", nn.Linear(2, 1)).bias) == 0.25
    with pytest.raises(InvalidInput):
        load("other", nn.Linear(2, 1))


def test_each_recipe_has_its_weights_and_all_together_are_less_than_a_megabyte(folder):
    files = list(folder.glob("*.pt"))
    assert {file.stem for file in files} == set(command.RECIPES)
    assert sum(file.stat().st_size for file in files) < 1_000_000
