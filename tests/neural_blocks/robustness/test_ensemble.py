"""Ensembles: averages of predictions and of weights."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.robustness.ensemble import Ensemble, snapshot, weight_average


def members(n=3):
    torch.manual_seed(0)
    return [MLP(4, (8,), 5) for _ in range(n)]


def test_an_ensemble_predicts_the_mean_probability():
    nets, x = members(), torch.randn(6, 4)
    wanted = sum(torch.softmax(net(x), -1) for net in nets) / 3
    torch.testing.assert_close(Ensemble(nets)(x).exp(), wanted)


def test_an_ensemble_is_never_worse_than_its_members_on_average():
    """By concavity of the logarithm, on any input and label."""
    ensemble, x, labels = Ensemble(members()), torch.randn(6, 4), torch.arange(6) % 5
    chosen = ensemble.predictions(x).gather(2, labels.expand(3, -1).unsqueeze(2))[..., 0]
    assert (ensemble(x).gather(1, labels[:, None])[:, 0] >= chosen.mean(0)).all()


def test_a_snapshot_is_frozen_while_its_model_trains_on():
    model, x = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)), torch.randn(6, 4)
    taken = snapshot(model)
    before = taken(x)
    model(x)
    with torch.no_grad():
        model[0].weight.add_(1.0)
    torch.testing.assert_close(taken(x), before)
    assert model.training
    assert not taken.training
    assert not any(parameter.requires_grad for parameter in taken.parameters())


@pytest.mark.parametrize("decay", [None, 0.9])
def test_weights_and_buffers_are_averaged(decay):
    model = nn.BatchNorm1d(1)
    with torch.no_grad():
        model.weight.fill_(7.0)
        model.running_mean.fill_(70.0)
    averaged, wanted = weight_average(model, decay), 7.0
    for step in range(5):
        with torch.no_grad():
            model.weight.fill_(float(step))
            model.running_mean.fill_(10.0 * step)
        averaged.update_parameters(model)
        share = 1 / (step + 1) if decay is None else 1 - decay  # the first update is one like the others
        wanted = (1 - share) * wanted + share * step
        assert averaged.module.weight.item() == pytest.approx(wanted, abs=1e-6)
        assert averaged.module.running_mean.item() == pytest.approx(10 * wanted, abs=1e-5)
    assert averaged.n_averaged.item() == 5
    assert not any(parameter.requires_grad for parameter in averaged.parameters())


def test_whole_number_buffers_are_taken_over():
    model = nn.BatchNorm1d(3)
    averaged = weight_average(model, 0.9)
    for _ in range(4):
        model(torch.randn(5, 3))
    averaged.update_parameters(model)
    assert averaged.module.num_batches_tracked.item() == 4


@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("copied", [lambda block: pickle.loads(pickle.dumps(block)), copy.deepcopy, "state"])
def test_an_average_goes_on_as_it_was_from_a_pickle_a_copy_or_its_state(decay, copied):
    model = members()[0]
    average = weight_average(model, decay)
    average.update_parameters(members()[1])
    if copied == "state":
        twin = weight_average(members()[2], decay)
        twin.load_state_dict(average.state_dict())
    else:
        twin = copied(average)
    for block in (average, twin):
        block.update_parameters(members()[2])
    for own, other in zip(average.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("make", [lambda: Ensemble(members()), lambda: weight_average(members()[0], 0.9)])
def test_compiled_saved_and_bfloat16_blocks_do_the_same(make):
    block, x, file = make(), torch.randn(6, 4), io.BytesIO()
    torch.testing.assert_close(torch.compile(block, backend="eager", fullgraph=True)(x), block(x))
    torch.save(block.state_dict(), file)
    file.seek(0)
    loaded = make()
    for parameter in loaded.parameters():
        nn.init.normal_(parameter)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(loaded(x), block(x))
    assert loaded.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_bad_input_is_named():
    with pytest.raises(InvalidInput, match="at least 1; got 0"):
        Ensemble([])
    with pytest.raises(InvalidInput, match=r"between 0 and 1; got 1\.5"):
        weight_average(members()[0], 1.5)


def test_the_mean_of_two_networks_weights_is_not_their_mean_answer():
    """Exclusive or by two units in either order: alike as functions, and the mean of their weights knows nothing."""
    x = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    nets = []
    for order in ([0, 1], [1, 0]):
        net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        with torch.no_grad():
            net[0].weight.fill_(1)
            net[0].bias.copy_(torch.tensor([0.0, -1])[order])
            net[2].weight.copy_(torch.tensor([[1.0, -2]])[:, order])
            net[2].bias.zero_()
        assert net(x)[:, 0].tolist() == [0, 1, 1, 0]
        nets.append(net)
    assert ((nets[0](x) + nets[1](x)) / 2)[:, 0].tolist() == [0, 1, 1, 0]
    average = weight_average(nets[0])
    for net in nets:
        average.update_parameters(net)
    assert average(x)[:, 0].tolist() == [0, -0.5, -0.5, -1.5]
