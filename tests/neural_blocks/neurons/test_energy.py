"""The Hopfield memory and the restricted Boltzmann machine against enumeration and plain loops."""

import io
import itertools

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.neurons.energy import RBM, Hopfield, mean_product_recall, settled, without_self


def signs(*shape, seed=0):
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).float() * 2 - 1


def random_rbm(visible, hidden, seed=0):
    torch.manual_seed(seed)
    rbm = RBM(visible, hidden)
    for parameter in rbm.parameters():
        torch.nn.init.normal_(parameter)
    return rbm


def bits(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def test_hebbian_couplings_are_the_mean_product_without_self_coupling():
    net, patterns = Hopfield(7), signs(3, 7)
    net.memorise(patterns)
    wanted = np.zeros((7, 7))
    for pattern in patterns.numpy():
        wanted += np.outer(pattern, pattern) / 7
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(net.couplings().detach().numpy(), wanted, atol=1e-6)


def test_recall_at_once_updates_every_unit_from_the_same_state():
    net = Hopfield(9)
    torch.nn.init.normal_(net.weight)
    start = signs(4, 9)
    couplings = net.couplings().detach().numpy()
    state = start.numpy()
    for _ in range(3):
        state = np.sign(state @ couplings)
    np.testing.assert_array_equal(net(start, sweeps=3).numpy(), state)


def test_recall_in_order_updates_each_unit_from_those_before_it():
    net = Hopfield(9)
    torch.nn.init.normal_(net.weight)
    start, order = signs(4, 9), torch.randperm(9)
    couplings = net.couplings().detach().numpy()
    state = start.numpy().copy()
    for unit in [*order.tolist(), *order.tolist()]:
        state[:, unit] = np.sign(state @ couplings[:, unit])
    np.testing.assert_array_equal(net(start, sweeps=2, order=order).numpy(), state)
    assert not np.array_equal(net(start, sweeps=2).numpy(), state)


def test_a_unit_without_field_keeps_its_state_and_the_start_is_left_alone():
    net, start = Hopfield(5), signs(3, 5)
    before = start.clone()
    for order in (None, torch.arange(5)):
        torch.testing.assert_close(net(start, order=order), before)
    net.memorise(signs(1, 5, seed=1))
    net(start, order=torch.arange(5))
    torch.testing.assert_close(start, before)


def test_recall_in_order_never_raises_the_energy():
    net = Hopfield(20)
    torch.nn.init.normal_(net.weight)
    state, energies = signs(16, 20), []
    for sweep in range(6):
        energies.append(net.energy(state))
        state = net(state, sweeps=1, order=torch.randperm(20, generator=torch.Generator().manual_seed(sweep)))
    falls = torch.stack(energies).diff(dim=0)
    assert (falls <= 1e-4).all()
    assert falls[0].max() < 0


def test_energy_is_minus_the_sum_over_coupled_pairs():
    net, state = Hopfield(6), signs(2, 6)
    torch.nn.init.normal_(net.weight)
    couplings = net.couplings()
    wanted = [-sum(couplings[i, j] * x[i] * x[j] for i in range(6) for j in range(i)) for x in state]
    torch.testing.assert_close(net.energy(state), torch.stack(wanted))


def test_the_loss_is_the_pseudo_likelihood_of_the_boltzmann_distribution():
    net, patterns = Hopfield(5), signs(3, 5)
    torch.nn.init.normal_(net.weight)
    total = 0.0
    for pattern in patterns:
        for unit in range(5):
            flipped = pattern.clone()
            flipped[unit] *= -1
            own, other = net.energy(torch.stack([pattern, flipped]))
            total -= torch.log_softmax(torch.stack([-own, -other]), 0)[0]
    torch.testing.assert_close(net.loss(patterns), total / 15)


def test_the_mean_product_rule_and_its_biases_are_those_of_a_unit_that_is_always_one():
    """With a further unit of 1 in every pattern, W = X^T X / M holds the biases in that unit's row."""
    net, patterns = Hopfield(6, biases=True), signs(4, 6)
    net.memorise(patterns, "mean_product")
    wider = np.concatenate([patterns.numpy(), np.ones((4, 1), np.float32)], 1)
    wanted = wider.T @ wider / 4
    np.testing.assert_allclose(net.bias.detach().numpy(), wanted[6, :6], atol=1e-6)
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(net.couplings().detach().numpy(), wanted[:6, :6], atol=1e-6)
    state = signs(3, 6, seed=2)
    whole = np.concatenate([state.numpy(), np.ones((3, 1), np.float32)], 1)
    energy = -0.5 * np.einsum("bi,ij,bj->b", whole, wanted, whole)
    np.testing.assert_allclose(net.energy(state).detach().numpy(), energy, atol=1e-5)
    field = whole @ wanted
    np.testing.assert_array_equal(net(state, sweeps=1).numpy(), np.where(field == 0, whole, np.sign(field))[:, :6])


def test_both_rules_lead_to_the_same_recall_and_biases_never_raise_the_energy():
    patterns, state = signs(3, 12), signs(8, 12, seed=4)
    one, other = Hopfield(12, biases=True), Hopfield(12, biases=True)
    one.memorise(patterns)
    other.memorise(patterns, "mean_product")
    order = torch.arange(12)
    assert torch.equal(one(state, 3, order), other(state, 3, order))
    energies = torch.stack([one.energy(one(state, sweeps, order)) for sweeps in range(4)])
    assert (energies.diff(dim=0) <= 1e-5).all()
    assert [name for name, _ in Hopfield(4).named_parameters()] == ["weight"]


def test_states_with_couplings_of_their_own_settle_as_each_would_alone():
    patterns = torch.stack([signs(3, 10, seed=k) for k in range(4)])
    cue = signs(4, 10, seed=9) * (torch.arange(10) > 2)
    own = without_self(patterns.mT @ patterns)
    found = settled(own, cue, sweeps=5)
    alone = torch.cat([settled(own[k], cue[k : k + 1], sweeps=5) for k in range(4)])
    assert torch.equal(found, alone)
    assert torch.equal(found, mean_product_recall(patterns, cue, 5))


def test_gradient_training_stores_patterns_that_the_hebbian_rule_does_not():
    patterns = signs(12, 24)
    hebbian, trained = Hopfield(24), Hopfield(24)
    hebbian.memorise(patterns)
    optimiser = torch.optim.Adam(trained.parameters(), 0.05)
    for _ in range(200):
        optimiser.zero_grad()
        trained.loss(patterns).backward()
        optimiser.step()
    assert (trained(patterns, sweeps=1) == patterns).all()
    assert not (hebbian(patterns, sweeps=1) == patterns).all()


def test_free_energy_sums_the_hidden_states_out():
    rbm, hidden = random_rbm(4, 3), bits(3)
    for visible in bits(4):
        joint = visible @ rbm.visible_bias + hidden @ rbm.hidden_bias + hidden @ (visible @ rbm.weight)
        torch.testing.assert_close(rbm.free_energy(visible), -torch.logsumexp(joint, 0))


@pytest.mark.parametrize("sizes", [(3, 6), (6, 3), (5, 5), (1, 1)])
def test_probabilities_of_all_states_sum_to_one(sizes):
    rbm = random_rbm(*sizes)
    torch.testing.assert_close(rbm.log_prob(bits(sizes[0])).exp().sum(), torch.tensor(1.0))


def test_free_energy_and_hidden_probabilities_equal_scikit_learns():
    rbm, visible = random_rbm(5, 4), bits(5)
    peer = BernoulliRBM(n_components=4)
    peer.components_ = rbm.weight.detach().T.double().numpy()
    peer.intercept_hidden_, peer.intercept_visible_ = (
        bias.detach().double().numpy() for bias in (rbm.hidden_bias, rbm.visible_bias)
    )
    peer.n_features_in_ = 5
    np.testing.assert_allclose(rbm(visible).detach().numpy(), peer.transform(visible.double().numpy()), rtol=1e-5)
    np.testing.assert_allclose(
        rbm.free_energy(visible).detach().numpy(), peer._free_energy(visible.double().numpy()), rtol=1e-5
    )


def test_gibbs_samples_have_the_exact_distribution():
    rbm = random_rbm(3, 4)
    samples = rbm.sample(40_000, steps=40, seed=0)
    index = (samples @ torch.tensor([4.0, 2.0, 1.0])).long()
    frequency = torch.bincount(index, minlength=8) / len(samples)
    torch.testing.assert_close(frequency, rbm.log_prob(bits(3)).exp().detach(), atol=0.012, rtol=0)


def test_contrastive_divergence_has_the_textbook_gradient():
    rbm, visible = random_rbm(4, 3), bits(4)
    negative = rbm.gibbs(visible, 2, seed=5)
    rbm.loss(visible, 2, seed=5).backward()
    wanted = (negative.T @ rbm(negative) - visible.T @ rbm(visible)) / len(visible)
    torch.testing.assert_close(rbm.weight.grad, wanted.detach())
    torch.testing.assert_close(rbm.visible_bias.grad, negative.mean(0) - visible.mean(0))


def test_sampling_is_a_function_of_the_seed():
    rbm = random_rbm(6, 4)
    first, second = (rbm.sample(5, steps=3, seed=2) for _ in range(2))
    torch.testing.assert_close(first, second)
    assert first.shape == (5, 6)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: Hopfield(1), ["2", "1"]),
        (lambda: Hopfield(4)(torch.ones(2, 5)), ["4", "(2, 5)"]),
        (lambda: Hopfield(4).memorise(torch.ones(4)), ["4", "(4,)"]),
        (lambda: Hopfield(4)(torch.ones(2, 4), order=torch.arange(3)), ["(4,)", "(3,)"]),
        (lambda: RBM(0, 3), ["0", "3"]),
        (lambda: RBM(4, 3)(torch.ones(2, 5)), ["4", "(2, 5)"]),
        (lambda: RBM(20, 18).log_partition(), ["16", "20", "18"]),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(InvalidInput) as refusal:
        call()
    assert all(part in str(refusal.value) for part in named)


def hopfield_recall(net, x):
    return net(x, sweeps=2, order=torch.arange(6))


@pytest.mark.parametrize(
    ("block", "call"),
    [
        (Hopfield(6), lambda net, x: net(x)),
        (Hopfield(6), hopfield_recall),
        (Hopfield(6), lambda net, x: net.loss(x)),
        (Hopfield(6), lambda net, x: net.energy(x)),
        (random_rbm(6, 4), lambda rbm, x: rbm(x)),
        (random_rbm(6, 4), lambda rbm, x: rbm.loss(x, 2)),
        (random_rbm(6, 4), lambda rbm, x: rbm.log_prob(x)),
        (random_rbm(6, 4), lambda rbm, x: rbm.sample(3, steps=4)),
    ],
)
def test_compiled_saved_and_bfloat16_blocks_do_the_same(block, call):
    if isinstance(block, Hopfield):
        block.memorise(signs(2, 6))
    x = signs(3, 6, seed=3) if isinstance(block, Hopfield) else bits(6)[10:13]
    torch.manual_seed(0)
    eager = call(block, x)
    torch.manual_seed(0)
    torch.testing.assert_close(torch.compile(call, backend="eager", fullgraph=True)(block, x), eager)

    file = io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    loaded = Hopfield(6) if isinstance(block, Hopfield) else RBM(6, 4)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(0)
    torch.testing.assert_close(call(loaded, x), eager)

    assert call(loaded.bfloat16(), x.bfloat16()).dtype == torch.bfloat16
