"""Digits told apart by convolutions, by reading rows, and by reading patches."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.perception.convolution import DenseBlock, InceptionModule, LeNet
from palaestra.neural_blocks.perception.residual import ResidualNet
from palaestra.neural_blocks.perception.vision_transformer import VisionTransformer
from palaestra.neural_blocks.sequence.recurrent import Bidirectional, memory


class RowReader(nn.Module):
    """Reads an image row by row and names it by the last output."""

    def __init__(self, name):
        super().__init__()
        self.memory, self.head = memory(name, 8, 64), nn.Linear(64, 10)

    def forward(self, x):
        rows = x[:, 0].transpose(0, 1)  # (8, B, 8)
        outputs, _ = self.memory(rows, self.memory.initial_memory(rows.shape[1]))
        return self.head(outputs[-1])


class BothWays(nn.Module):
    """Reads an image's rows in both directions."""

    def __init__(self):
        super().__init__()
        self.rows, self.head = Bidirectional("gru", 8, 32), nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.rows(x[:, 0].transpose(0, 1)).mean(0))


def pooled(*blocks):
    """Blocks, the mean over pixels and a linear layer."""
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(blocks[-1].output_channels, 10))


def accuracy(model, digits, epochs, rate, smoothing=0.1, batch=32):
    """Test accuracy after training with a learning rate that rises and falls (Smith and Topin, 2019)."""
    images, labels, test, test_labels = digits
    torch.manual_seed(0)
    model = model()
    steps = len(images) // batch
    optimiser = torch.optim.AdamW(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: steps * batch].view(-1, batch):
            loss = F.cross_entropy(model(images[rows]), labels[rows], label_smoothing=smoothing)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    with torch.no_grad():
        return (model(test).argmax(1) == test_labels).float().mean().item()


def test_lenet(digits):
    assert accuracy(lambda: LeNet((1, 8, 8)), digits, 20, 5e-3) >= 0.97


@pytest.mark.parametrize("name", ["lstm", "gru", "one_gate_gru", "elman"])
def test_memories_that_read_rows(name, digits):
    assert accuracy(lambda: RowReader(name), digits, 15, 1e-2) >= 0.95


def test_a_transformer_memory_that_reads_rows(digits):
    assert accuracy(lambda: RowReader("transformer"), digits, 10, 4e-3) >= 0.93


def test_a_bidirectional_network_that_reads_rows(digits):
    assert accuracy(BothWays, digits, 15, 1e-2) >= 0.95


def test_a_small_vision_transformer(digits):
    assert accuracy(lambda: VisionTransformer((1, 8, 8), 10, d_model=32), digits, 20, 4e-3, 0.0, 64) >= 0.95


def test_a_residual_net(digits):
    assert accuracy(lambda: ResidualNet((1, 8, 8), 10, widths=(16, 32)), digits, 5, 1e-2) >= 0.96


def test_inception_and_dense_blocks(digits):
    def inception():
        return pooled(InceptionModule(1, 8, (4, 8), (4, 8), 8), InceptionModule(32, 16, (8, 16), (8, 16), 16))

    def dense():
        return pooled(DenseBlock(1, 12, 4))

    assert accuracy(inception, digits, 8, 1e-2) >= 0.93
    assert accuracy(dense, digits, 8, 1e-2) >= 0.93
