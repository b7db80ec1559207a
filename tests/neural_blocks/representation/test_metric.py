"""Few-shot and self-supervised losses against plain loops."""

import io

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.representation.metric import (
    BYOL,
    MatchingNetwork,
    PrototypicalNetwork,
    Siamese,
    info_nce,
    matching_logits,
    prototypical_logits,
)


@pytest.fixture
def episode():
    generator = torch.Generator().manual_seed(0)
    support, query = torch.randn(2, 9, 4, generator=generator), torch.randn(2, 5, 4, generator=generator)
    return support, torch.tensor([[0, 1, 2, 0, 1, 2, 2, 2, 0], [2, 2, 1, 0, 0, 0, 0, 0, 1]]), query


def encoder():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), MLP(6, (16,), 4))


def test_prototypes_choose_as_scikit_learns_nearest_centroid(episode):
    support, labels, query = episode
    logits = prototypical_logits(support, labels, query, 3)
    for row in range(2):
        peer = NearestCentroid().fit(support[row].numpy(), labels[row].numpy())
        assert logits[row].argmax(1).tolist() == peer.predict(query[row].numpy()).tolist()
        distance = torch.cdist(query[row], torch.from_numpy(peer.centroids_).float())
        torch.testing.assert_close(logits[row], -distance.square(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_matching_adds_the_attention_on_each_class(episode, scale):
    support, labels, query = episode
    probabilities = matching_logits(support, labels, query, 4, scale).exp()
    for row, place in np.ndindex(2, 5):
        cosine = torch.cosine_similarity(query[row, place].expand(9, -1), support[row], dim=1)
        attention = torch.softmax(scale * cosine, 0)
        wanted = torch.stack([attention[labels[row] == way].sum() for way in range(4)])
        torch.testing.assert_close(probabilities[row, place], wanted)
    assert (probabilities[..., 3] == 0).all()  # no example of it


def test_networks_embed_every_example_by_itself(episode):
    _, labels, _ = episode
    support, query = torch.randn(2, 9, 1, 2, 3), torch.randn(2, 5, 1, 2, 3)
    network = encoder()
    embedded = [torch.stack([network(one) for one in examples]) for examples in (support, query)]
    for block, function, scale in (
        (PrototypicalNetwork, prototypical_logits, ()),
        (MatchingNetwork, matching_logits, (10.0,)),
    ):
        wanted = function(embedded[0], labels, embedded[1], 3, *scale)
        torch.testing.assert_close(block(network)(support, labels, query, 3), wanted)


def test_the_siamese_loss_pulls_equals_and_pushes_others_to_the_margin():
    network = Siamese(nn.Identity())
    first = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    second = torch.tensor([[0.6, 0.8], [0.3, 0.4], [3.0, 4.0]])
    torch.testing.assert_close(network(first, second), torch.tensor([1.0, 0.5, 5.0]), atol=1e-4, rtol=0)
    same = torch.tensor([True, False, False])
    loss = network.loss(first, second, same, margin=2.0)
    torch.testing.assert_close(loss, torch.tensor((1.0**2 + 1.5**2 + 0) / 3), atol=1e-4, rtol=0)


def test_info_nce_is_the_cross_entropy_of_the_right_key():
    query, key = torch.randn(5, 3), torch.randn(5, 3)
    total = 0.0
    for row in range(5):
        cosines = torch.stack([torch.cosine_similarity(query[row], other, dim=0) for other in key])
        total -= torch.log(torch.exp(cosines / 0.2) / torch.exp(cosines / 0.2).sum())[row]
    torch.testing.assert_close(info_nce(query, key, 0.2), total / 5)


def test_info_nce_bounds_the_information():
    """log B when the keys say nothing; near 0 when they say all (van den Oord et al., 2018)."""
    assert info_nce(torch.ones(8, 3), torch.ones(8, 3)).item() == pytest.approx(np.log(8), rel=1e-5)
    assert info_nce(torch.eye(8), torch.eye(8), 0.01).item() == pytest.approx(0, abs=1e-5)


def test_the_byol_loss_is_the_squared_distance_of_unit_vectors_and_trains_only_the_online_side():
    torch.manual_seed(0)
    block = BYOL(encoder(), 4, projection=3, hidden=8).eval()
    first, second = torch.randn(7, 6), torch.randn(7, 6)
    wanted = 0.0
    for view, other in ((first, second), (second, first)):
        prediction = nn.functional.normalize(block.predictor(block.online(view)), dim=1)
        wanted = wanted + (prediction - nn.functional.normalize(block.target(other), dim=1)).square().sum(1).mean()
    loss = block.loss(first, second)
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    assert all(parameter.grad is None for parameter in block.target.parameters())
    assert all(parameter.grad is not None for parameter in block.online.parameters())


def test_the_byol_target_follows_slowly():
    block = BYOL(encoder(), 4, decay=0.75)
    block.update_target()
    online, target = block.online[0][1].layers[0].weight, block.target.module[0][1].layers[0].weight
    before = target.clone()
    with torch.no_grad():
        online.add_(1.0)
    block.update_target()
    torch.testing.assert_close(target, before + 0.25)
    torch.testing.assert_close(block(torch.ones(2, 6)), block.online[0](torch.ones(2, 6)))


BLOCKS = {
    "prototypical": (lambda: PrototypicalNetwork(encoder()), lambda block, s, y, q: block(s, y, q, 3)),
    "matching": (lambda: MatchingNetwork(encoder()), lambda block, s, y, q: block(s, y, q, 3)),
    "siamese": (lambda: Siamese(encoder()), lambda block, s, y, q: block.loss(s[0], s[1], y[0] == y[1])),
    "byol": (lambda: BYOL(encoder(), 4), lambda block, s, y, q: block.loss(s[0], s[1])),
    "info_nce": (nn.Identity, lambda block, s, y, q: info_nce(s[0], s[1])),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_compiled_saved_and_bfloat16_blocks_do_the_same(name, episode):
    make, call = BLOCKS[name]
    _, labels, _ = episode
    block, support, query = make().eval(), torch.randn(2, 9, 6), torch.randn(2, 5, 6)
    eager = call(block, support, labels, query)
    torch.testing.assert_close(
        torch.compile(call, backend="eager", fullgraph=True)(block, support, labels, query), eager
    )
    file = io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    loaded = make().eval()
    for parameter in loaded.parameters():
        nn.init.normal_(parameter)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(call(loaded, support, labels, query), eager)
    assert call(loaded.bfloat16(), support.bfloat16(), labels, query.bfloat16()).dtype == torch.bfloat16


SUPPORT, LABELS = torch.ones(2, 9, 4), torch.ones(2, 9, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: prototypical_logits(SUPPORT, LABELS[:, 1:], SUPPORT, 3), ["(2, 9, 4)", "(2, 8)"]),
        (lambda: matching_logits(SUPPORT, LABELS, SUPPORT[..., 1:], 3), ["(2, 9, 4)", "(2, 9, 3)"]),
        (lambda: Siamese(nn.Identity()).loss(torch.ones(3, 2), torch.ones(3, 2), torch.ones(2) > 0), ["(3,)", "(2,)"]),
        (lambda: info_nce(torch.ones(3, 2), torch.ones(4, 2)), ["(3, 2)", "(4, 2)"]),
        (lambda: BYOL(encoder(), 4, decay=1.5), ["1.5"]),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(InvalidInput) as refusal:
        call()
    assert all(part in str(refusal.value) for part in named)
