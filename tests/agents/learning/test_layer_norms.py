"""Norms of layers in reports: those of the weights there are, and of the gradient whose norm is reported as a whole."""

import pytest
import torch

from palaestra.agents.learning.learner import Learner
from palaestra.agents.networks.layer_norms import LayerNorms
from palaestra.tests.agents.learning.test_execution import close, learned
from palaestra.tests.envs.core.tape import Tape

ONE_UPDATE = {  # an iteration's only step is then what both norms are of
    "a2c": {},
    "behaviour_cloning": {"updates": 1},
    "dqn": {},
    "maml": {},
    "reinforce": {},
}


def test_norms_by_hand():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Tanh(), torch.nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        layers[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
        layers[0].bias.fill_(12.0)
        layers[2].weight.fill_(-2.0)
    norms = LayerNorms({"network": layers})
    layers[0].weight.grad, layers[0].bias.grad = torch.tensor([[0.0, 6.0]]), torch.tensor([8.0])
    layers[2].weight.grad = torch.tensor([[7.0]])
    norms.measure(layers[0].parameters())
    assert {name: float(value) for name, value in norms.numbers().items()} == {
        "weight_norm/network.0": 13,
        "weight_norm/network.2": 2,
        "gradient_norm/network.0": 10,
        "gradient_norm/network.2": 0,  # it was not among those that were measured
    }


@pytest.mark.parametrize("name", ONE_UPDATE)
def test_layers_make_up_the_whole(name):
    agent, _, reports = learned(name, "eager", 20, report_norms=True, max_grad_norm=1e-3, **ONE_UPDATE[name])
    report = reports[-1]
    of_layers = torch.tensor([value for key, value in report.items() if key.startswith("gradient_norm/")])
    assert float(of_layers.norm()) == pytest.approx(report["gradient_norm"], rel=1e-5)
    assert float((of_layers > 0).float().mean()) > 0.5
    weights = torch.tensor([value for key, value in report.items() if key.startswith("weight_norm/")])
    modules = [part for part in (agent.network, getattr(agent, "policy", None)) if part is not None]
    every = [one.detach().flatten() for module in modules for one in module.parameters()]
    assert float(weights.norm()) == pytest.approx(float(torch.cat(every).norm()), rel=1e-5)


def test_the_parts_of_sac_keep_their_own():
    _, _, reports = learned("sac", "eager", 20, report_norms=True)
    named = [name for name, value in reports[-1].items() if name.startswith("gradient_norm/") and value > 0]
    assert {name.split("/")[1].split(".")[0] for name in named} == {"actor", "critic"}


@pytest.mark.parametrize("name", ["ppo", "dqn"])
@pytest.mark.parametrize("execution", ["compiled", "captured"])
def test_every_way_of_running_reports_the_same(name, execution, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    _, _, eager = learned(name, "eager", 6, report_norms=True)
    _, _, other = learned(name, execution, 6, report_norms=True)
    close(other, eager)


def test_they_are_left_out_unless_asked_for():
    _, _, reports = learned("ppo", "eager", 1)
    assert not [name for name in reports[0] if "/" in name]
