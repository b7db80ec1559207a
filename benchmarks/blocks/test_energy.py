"""The Hopfield memory's capacity, and contrastive divergence against the exact likelihood."""

import itertools
import math

import pytest
import torch

from palaestra.neural_blocks.neurons.energy import RBM, Hopfield


def recovered(load, seed, asynchronous):
    """Share of the patterns, of 1000 units, that come back at overlap 0.95 or more with a twentieth of bits wrong."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randint(0, 2, (round(load * 1000), 1000), generator=generator).float() * 2 - 1
    net = Hopfield(1000)
    net.memorise(patterns)
    wrong = torch.rand(patterns.shape, generator=generator) < 0.05
    order = torch.randperm(1000, generator=generator) if asynchronous else None
    recalled = net(torch.where(wrong, -patterns, patterns), sweeps=20, order=order)
    return ((recalled * patterns).mean(1) >= 0.95).float().mean().item()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_recall_works_at_load_012_and_has_collapsed_at_017(asynchronous):
    """The critical load is 0.138 (Amit et al., 1985); means over three draws of the patterns."""
    assert sum(recovered(0.12, seed, asynchronous) for seed in range(3)) / 3 >= 0.95
    assert sum(recovered(0.17, seed, asynchronous) for seed in range(3)) / 3 <= 0.35


def test_contrastive_divergence_raises_the_exact_log_likelihood():
    """Bars and stripes of 3 x 3: 14 pictures, at best ln 14 = 2.64 nats each; independent pixels need 9 ln 2 = 6.24."""
    rows = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    bars = rows.unsqueeze(1).expand(-1, 3, -1)
    pictures = torch.cat([bars, bars.transpose(1, 2)]).flatten(1).unique(dim=0)
    assert len(pictures) == 14
    torch.manual_seed(0)
    rbm = RBM(9, 16)
    optimiser = torch.optim.SGD(rbm.parameters(), 0.1)
    reached = []
    for update in range(3001):
        if update % 1000 == 0:
            reached.append(rbm.log_prob(pictures).mean().item())
        optimiser.zero_grad()
        rbm.loss(pictures, steps=1).backward()
        optimiser.step()
    assert reached[0] == pytest.approx(-9 * math.log(2), abs=0.01)
    assert reached == sorted(reached)
    assert reached[-1] >= -3.6
    samples = rbm.sample(500)
    known = (samples.unsqueeze(1) == pictures).all(2).any(1).float().mean().item()
    assert known >= 0.5  # 14 of 512 pictures: 0.03 by chance
