"""Distribution shift against NumPy and by hand."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.shift import DomainDiscriminator, GroupDRO, coral, mixup, reverse_gradient


def test_coral_is_the_distance_of_numpys_covariances():
    source, target = torch.randn(20, 3), 2 * torch.randn(30, 3)
    difference = np.cov(source.numpy(), rowvar=False) - np.cov(target.numpy(), rowvar=False)
    assert coral(source, target).item() == pytest.approx((difference**2).sum() / 36, rel=1e-4)
    assert coral(source, source + 5).item() == pytest.approx(0, abs=1e-8)  # means do not matter


def test_descending_coral_aligns_the_covariances():
    torch.manual_seed(0)
    source, target = torch.randn(200, 2) @ torch.tensor([[2.0, 0.0], [1.0, 0.5]]), torch.randn(200, 2)
    mapping = torch.eye(2, requires_grad=True)
    optimiser = torch.optim.Adam([mapping], 0.05)
    before = coral(source, target).item()
    for _ in range(200):
        optimiser.zero_grad()
        coral(source, target @ mapping).backward()
        optimiser.step()
    assert coral(source, target @ mapping).item() < 1e-3 * before


def test_the_reversal_changes_the_gradient_only():
    x = torch.randn(4, 3, requires_grad=True)
    out = reverse_gradient(x, 0.3)
    assert torch.equal(out, x)
    weights = torch.randn(4, 3)
    (out * weights).sum().backward()
    torch.testing.assert_close(x.grad, -0.3 * weights)


def test_the_discriminator_learns_the_domain_and_its_features_unlearn_it():
    torch.manual_seed(0)
    block, features = DomainDiscriminator(3, hidden=(8,), strength=0.5), torch.randn(10, 3, requires_grad=True)
    domain = torch.arange(10) % 2
    block.loss(features, domain).backward()
    straight = features.detach().clone().requires_grad_()
    plain = F.cross_entropy(block.classifier(straight), domain)
    wanted = torch.autograd.grad(plain, [straight, *block.parameters()])
    torch.testing.assert_close(features.grad, -0.5 * wanted[0])
    for parameter, gradient in zip(block.parameters(), wanted[1:], strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_group_weights_grow_exponentially_with_the_groups_loss():
    block = GroupDRO(3, step_size=0.5)
    losses, group = torch.tensor([1.0, 3.0, 4.0], requires_grad=True), torch.tensor([0, 0, 2])
    loss = block(losses, group)
    weights = np.exp(0.5 * np.array([2.0, 0.0, 4.0]))
    weights /= weights.sum()
    np.testing.assert_allclose(block.weights.numpy(), weights, rtol=1e-6)
    assert loss.item() == pytest.approx(2 * weights[0] + 4 * weights[2], rel=1e-6)
    loss.backward()
    np.testing.assert_allclose(losses.grad.numpy(), [weights[0] / 2, weights[0] / 2, weights[2]], rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_two_losses_may_be_made_before_either_is_differentiated(training):
    first, second, group = torch.rand(6, requires_grad=True), torch.rand(6), torch.arange(6) % 3
    block, twin = GroupDRO(3).train(training), GroupDRO(3).train(training)
    wanted = torch.autograd.grad(twin(first, group), first)[0]
    loss = block(first, group)
    block.train()
    (loss + block(second, group)).backward()
    torch.testing.assert_close(first.grad, wanted)


def test_group_weights_stand_still_in_evaluation():
    block = GroupDRO(2).eval()
    assert block(torch.tensor([1.0, 3.0]), torch.tensor([0, 1])).item() == pytest.approx(2)
    assert block.weights.tolist() == [0.5, 0.5]


def test_mixup_blends_inputs_and_targets_alike():
    x, targets = torch.tensor([[[0.0]], [[4.0]], [[8.0]]]), torch.eye(3)
    blended, soft = mixup(x, targets, torch.tensor([1.0, 0.25, 0.5]), torch.tensor([2, 0, 1]))
    assert blended.flatten().tolist() == [0.0, 1.0, 6.0]
    torch.testing.assert_close(soft, torch.tensor([[1.0, 0.0, 0.0], [0.75, 0.25, 0.0], [0.0, 0.5, 0.5]]))


def some_losses():
    return torch.rand(6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("make", "call"),
    [
        (lambda: DomainDiscriminator(1), lambda block, x: block.loss(x[:, None], torch.arange(6) % 2)),
        (lambda: GroupDRO(3), lambda block, x: block(x, torch.arange(6) % 3)),
        (nn.Identity, lambda block, x: coral(x.view(3, 2), x.view(3, 2) ** 2)),
        (nn.Identity, lambda block, x: mixup(x, torch.eye(6, dtype=x.dtype), x, torch.arange(6).flip(0))[0]),
    ],
)
def test_compiled_saved_and_bfloat16_blocks_do_the_same(make, call):
    block, twin, x, file = make(), make(), some_losses(), io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    twin.load_state_dict(torch.load(file, weights_only=True))
    eager = call(block, x)
    torch.testing.assert_close(torch.compile(call, backend="eager", fullgraph=True)(twin, x), eager)
    for name, value in block.state_dict().items():  # also what the call has changed
        torch.testing.assert_close(twin.state_dict()[name], value)
    assert call(block.bfloat16(), x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: coral(torch.ones(4, 3), torch.ones(4, 2)), ["(4, 3)", "(4, 2)"]),
        (lambda: DomainDiscriminator(3, 1), ["2", "1"]),
        (lambda: DomainDiscriminator(3).loss(torch.ones(4, 3), torch.ones(3).long()), ["(4, 3)", "(3,)"]),
        (lambda: GroupDRO(0), ["1", "0"]),
        (lambda: GroupDRO(2)(torch.ones(4), torch.ones(3).long()), ["(4,)", "(3,)"]),
        (lambda: mixup(torch.ones(4, 2), torch.eye(4), torch.ones(3), torch.arange(4)), ["(4, 2)", "(3,)"]),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(InvalidInput) as refusal:
        call()
    assert all(part in str(refusal.value) for part in named)
