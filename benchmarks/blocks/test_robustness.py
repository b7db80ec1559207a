"""Attacks on digit classifiers, and two defences (Madry et al., 2018; Zhang et al., 2019)."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.perception.convolution import SmallCNN
from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.robustness.adversarial import (
    adversarial_training_step,
    fgsm,
    finite_difference_gradient,
    input_gradient,
    pgd,
    transfer_attack,
)

EPSILON = 0.155  # of a pixel's range


def trained(digits, step, epochs, seed=0):
    torch.manual_seed(seed)
    images, labels = digits[:2]
    model = nn.Sequential(SmallCNN((1, 8, 8), output_size=64), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(128):
            step(model, optimiser, images[rows], labels[rows])
    return model


def plain_step(model, optimiser, images, labels):
    optimiser.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    optimiser.step()


@pytest.fixture(scope="module")
def plain(digits):
    return trained(digits, plain_step, epochs=15)


@torch.no_grad()
def accuracy(model, images, labels):
    return (model(images).argmax(1) == labels).float().mean().item()


def attacked(model, digits):
    images, labels = digits[2:]
    adversarial = pgd(model, images, labels, EPSILON, step_size=0.02, steps=40)
    assert (adversarial - images).abs().max() <= EPSILON + 1e-6
    return accuracy(model, adversarial, labels)


def test_pgd_breaks_a_plain_classifier(plain, digits):
    assert accuracy(plain, *digits[2:]) >= 0.96
    assert attacked(plain, digits) < 0.2


@pytest.mark.parametrize("beta", [None, 6.0], ids=["adversarial training", "trades"])
def test_a_defended_classifier_withstands_the_same_attack(digits, beta):
    step = functools.partial(adversarial_training_step, epsilon=0.17, step_size=0.07, steps=4, beta=beta)
    model = trained(digits, step, epochs=20)
    assert accuracy(model, *digits[2:]) >= 0.92
    assert attacked(model, digits) >= 0.6


def test_scores_alone_reveal_the_sign_of_nine_in_ten_derivatives(plain, digits):
    images, labels = digits[2][:100], digits[3][:100]
    gradient = input_gradient(plain, images, labels)
    estimate = finite_difference_gradient(plain, images, labels, delta=0.01)
    assert (estimate.sign() == gradient.sign()).float().mean().item() >= 0.9


def test_grouped_queries_attack_with_a_quarter_of_the_questions(plain, digits):
    """Pixels in random groups of four: 32 questions for 64 pixels, and still a better step than a random one."""
    images, labels = digits[2][:100], digits[3][:100]
    generator = torch.Generator().manual_seed(0)
    groups = F.one_hot(torch.randperm(64, generator=generator) % 16).T.bool()
    estimate = finite_difference_gradient(plain, images, labels, groups=groups)
    noise = torch.randn(images.shape, generator=generator)
    guided, random = ((images + EPSILON * step.sign()).clamp(0, 1) for step in (estimate, noise))
    assert accuracy(plain, guided, labels) < accuracy(plain, random, labels) - 0.2


def test_an_attack_on_another_network_transfers(plain, digits):
    images, labels = digits[2:]
    torch.manual_seed(1)
    surrogate = nn.Sequential(nn.Flatten(), MLP(64, (64,), 10, activation="relu"))
    optimiser = torch.optim.Adam(surrogate.parameters(), 1e-2)
    for _ in range(60):
        plain_step(surrogate, optimiser, *digits[:2])
    _, fooled = transfer_attack(surrogate, plain, images, labels, functools.partial(fgsm, epsilon=EPSILON))
    assert fooled.float().mean().item() >= 0.2
