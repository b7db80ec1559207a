"""Few-shot learning on glyphs, and representations learned without labels."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.envs.classification.sources.glyphs import DRAWING_NOISE, PROGRAM_NOISE, draw_glyphs, draw_programs
from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.representation.metric import BYOL, PrototypicalNetwork, info_nce

WAYS, SHOTS, QUERIES = 5, 5, 5
DRAWINGS, SHAKE = 20, 1.3  # of a class; times the shakiness of the task's own drawings


@pytest.fixture(scope="module")
def glyphs():
    """Training glyphs of 100 classes and test glyphs of 50 others, 20 drawings each: (K, 20, 1, 16, 16)."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for classes, split in ((100, "train"), (50, "test")):
        programs = draw_programs(torch.rand(classes, PROGRAM_NOISE, generator=generator), split)
        shake = SHAKE * torch.randn(classes * DRAWINGS, DRAWING_NOISE, generator=generator)
        drawn = draw_glyphs(programs.repeat_interleave(DRAWINGS, 0), torch.special.ndtr(shake))
        images.append(drawn.unflatten(0, (classes, DRAWINGS)).float() / 255)
    return images


def episodes(images, batch, generator):
    """Support, its labels, queries, their labels."""
    classes = torch.rand(batch, len(images), generator=generator).argsort(1)[:, :WAYS]
    drawings = torch.rand(batch, WAYS, images.shape[1], generator=generator).argsort(2)[..., : SHOTS + QUERIES]
    chosen = images[classes.unsqueeze(2), drawings]  # (B, WAYS, SHOTS + QUERIES, 1, 16, 16)
    labels = torch.arange(WAYS).expand(batch, -1)
    support, query = chosen[:, :, :SHOTS].flatten(1, 2), chosen[:, :, SHOTS:].flatten(1, 2)
    return support, labels.repeat_interleave(SHOTS, 1), query, labels.repeat_interleave(QUERIES, 1)


@torch.no_grad()
def accuracy(network, images):
    support, labels, query, truth = episodes(images, 100, torch.Generator().manual_seed(1))
    return (network(support, labels, query, WAYS).argmax(-1) == truth).float().mean().item()


def test_a_prototypical_network_classifies_glyphs_it_has_never_seen(glyphs):
    train, test = glyphs
    torch.manual_seed(0)
    layers = []
    for channels, filters in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    network = PrototypicalNetwork(nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 64)))
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(2)
    for _ in range(200):
        support, labels, query, truth = episodes(train, 4, generator)
        optimiser.zero_grad()
        F.cross_entropy(network(support, labels, query, WAYS).flatten(0, 1), truth.flatten()).backward()
        optimiser.step()
    assert accuracy(network, test) >= 0.9
    assert accuracy(PrototypicalNetwork(nn.Flatten()), test) <= 0.85  # raw pixels do not suffice


def jittered(images):
    """Another view: shifted by up to a pixel, and noisy."""
    rows, columns = (torch.randint(0, 3, (2, len(images), 1)) + torch.arange(8)).unbind()  # (B, 8) each
    padded, which = F.pad(images[:, 0], (1, 1, 1, 1)), torch.arange(len(images)).view(-1, 1, 1)
    view = padded[which, rows.unsqueeze(2), columns.unsqueeze(1)]
    return (view + 0.1 * torch.randn_like(view)).unsqueeze(1)


@torch.no_grad()
def nearest_neighbour_accuracy(encoder, digits):
    train, labels, test, test_labels = digits
    known, asked = (F.normalize(encoder(images), dim=1) for images in (train[:50], test))
    return (labels[:50][(asked @ known.T).argmax(1)] == test_labels).float().mean().item()


def encoder():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), MLP(64, (128,), 32, activation="relu"))


def test_info_nce_brings_views_of_a_digit_together_and_with_them_its_class(digits):
    network = encoder()
    optimiser, before = torch.optim.Adam(network.parameters(), 2e-3), nearest_neighbour_accuracy(network, digits)
    for _ in range(150):
        images = digits[0][torch.randint(0, len(digits[0]), (256,))]
        optimiser.zero_grad()
        info_nce(network(jittered(images)), network(jittered(images)), 0.2).backward()
        optimiser.step()
    assert nearest_neighbour_accuracy(network, digits) >= before + 0.03


def test_byol_learns_without_negatives_and_does_not_collapse(digits):
    block = BYOL(encoder(), 32)
    optimiser = torch.optim.Adam([*block.online.parameters(), *block.predictor.parameters()], 2e-3)
    losses = []
    for _ in range(150):
        images = digits[0][torch.randint(0, len(digits[0]), (256,))]
        optimiser.zero_grad()
        loss = block.loss(jittered(images), jittered(images))
        loss.backward()
        optimiser.step()
        block.update_target()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert nearest_neighbour_accuracy(block, digits) >= 0.7
    assert F.normalize(block(digits[2]), dim=1).std(0).mean() > 0.05
