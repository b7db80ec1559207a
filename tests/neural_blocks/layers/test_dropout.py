"""Counted dropout: its expectation, its counter, and the replacement of PyTorch's in a user's network."""

import copy
import io

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.layers.dropout import Dropout, counted_dropout


def test_the_expectation_is_the_input_and_the_share_of_zeros_is_p():
    block, x = Dropout(0.3, seed=1), torch.rand(200, 100) + 0.5
    dropped = torch.stack([block(x) for _ in range(20)])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.002)
    torch.testing.assert_close(dropped[dropped != 0], (x / 0.7).expand(20, -1, -1)[dropped != 0])
    assert (dropped.mean() / x.mean()).item() == pytest.approx(1, abs=0.003)
    share = (dropped == 0).float().mean(0)  # of each feature: binomial
    assert share.std().item() == pytest.approx((0.3 * 0.7 / 20) ** 0.5, rel=0.03)


def test_evaluation_leaves_everything_as_it_is_and_the_counter_too():
    block, x = Dropout(0.5, seed=1).eval(), torch.randn(4, 5)
    assert block(x) is x
    assert block.counter.item() == 0
    assert Dropout(0.0)(x) is x
    assert not Dropout(1.0)(x).any()


def test_each_pass_in_training_draws_anew_and_a_loaded_state_goes_on_where_it_stood():
    block, x, file = Dropout(0.5, seed=1), torch.ones(50, 4), io.BytesIO()
    first = block(x)
    torch.save(block.state_dict(), file)
    file.seek(0)
    second = block(x)
    assert not torch.equal(first, second)
    resumed = Dropout(0.5, seed=9)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(123)
    assert torch.equal(resumed(x), second)
    assert resumed.counter.item() == 2


def test_a_row_is_treated_alike_in_a_batch_of_any_size():
    x, many, few = torch.ones(9, 3, 4), Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    for _ in range(3):
        assert torch.equal(many(x)[:4], few(x[:4]))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_channels_are_dropped_whole(axes):
    x = torch.ones(20, 30, *(2,) * axes)
    dropped = Dropout(0.5, seed=1, channels=True)(x).flatten(2)
    assert ((dropped == 0).all(2) | (dropped == 2).all(2)).all()
    assert (dropped == 0).float().mean().item() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_stays_and_dropped_infinities_are_gone(dtype):
    x = torch.full((100, 10), torch.inf, dtype=dtype)
    dropped = Dropout(0.5, seed=1)(x)
    assert dropped.dtype == dtype
    assert not dropped.isnan().any()


def test_it_compiles_to_one_graph_for_any_batch_and_moves_its_counter():
    block, twin = Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    for rows in (3, 5, 6):
        x = torch.ones(rows, 8)
        assert torch.equal(compiled(x), twin(x))
    assert block.counter.item() == 3


class Encoder(nn.Module):
    """A user's: dropouts of several kinds, one of them in two places, none of them in a container alone."""

    def __init__(self):
        super().__init__()
        self.output_size = 8
        shared = nn.Dropout(0.2)
        self.image = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout2d(0.4), nn.Flatten(), nn.Linear(144, 8), shared)
        self.last = nn.Sequential(nn.ReLU(), shared, nn.Linear(8, 8))
        self.off = nn.Dropout(0.1)

    def forward(self, x):
        return self.off(self.last(self.image(x)))


def test_every_dropout_of_a_network_is_replaced_and_keeps_its_settings():
    network = Encoder()
    network.off.eval()
    assert counted_dropout(network, seed=3) is network
    assert not any(isinstance(layer, nn.Dropout | nn.Dropout2d) for layer in network.modules())
    assert network.image[4] is network.last[1]
    assert (network.image[1].p, network.image[1].channels, network.image[4].p) == (0.4, True, 0.2)
    assert (network.image[1].training, network.off.training) == (True, False)
    seeds = {block.seed.item() for block in network.modules() if isinstance(block, Dropout)}
    assert len(seeds) == 3
    assert isinstance(counted_dropout(nn.Dropout(0.3)), Dropout)


def test_training_with_replaced_dropouts_resumes_bit_for_bit():
    network = counted_dropout(Encoder(), seed=3)
    x = torch.rand(6, 1, 8, 8)

    def trained(network, steps):
        optimiser = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(steps):
            optimiser.zero_grad()
            network(x).square().mean().backward()
            optimiser.step()
        return network

    trained(network, 2)
    resumed = counted_dropout(Encoder(), seed=8)
    resumed.load_state_dict(copy.deepcopy(network.state_dict()))
    torch.manual_seed(5)
    trained(network, 3)
    torch.manual_seed(6)
    trained(resumed, 3)
    for own, other in zip(network.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.LSTM(3, 4, 2, dropout=0.1), "LSTM '1'"),
        (nn.TransformerEncoderLayer(4, 2, 8), "MultiheadAttention '1.self_attn'"),
        (nn.AlphaDropout(0.1), "AlphaDropout '1'"),
        (nn.RReLU(), "RReLU '1'"),
    ],
)
def test_a_layer_that_draws_by_itself_is_refused(layer, named):
    network = nn.Sequential(nn.Dropout(0.1), layer)
    with pytest.raises(InvalidInput, match=f"counted_dropout: {named} draws by itself"):
        counted_dropout(network)
    assert type(network[0]) is nn.Dropout
    counted_dropout(nn.Sequential(nn.LSTM(3, 4, 2), nn.MultiheadAttention(4, 2)))


def test_bad_settings_are_named():
    with pytest.raises(InvalidInput, match=r"Dropout: p must lie between 0 and 1; got 1\.5"):
        Dropout(1.5)
    with pytest.raises(InvalidInput, match="seed must be a whole number"):
        Dropout(0.5, seed=0.5)
