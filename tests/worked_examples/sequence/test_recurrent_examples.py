"""Worked by hand: one step of a GRU and of an LSTM with one unit."""

import pytest
import torch

from palaestra.neural_blocks.sequence.recurrent import GRU, LSTM


def fill(block, input_weight, input_bias, memory_weight, memory_bias):
    values = (input_weight, input_bias, memory_weight, memory_bias)
    layers = (block.input_gates.weight, block.input_gates.bias, block.memory_gates.weight, block.memory_gates.bias)
    for parameter, value in zip(layers, values, strict=True):
        parameter.data = torch.tensor(value).view(parameter.shape)
    return block


def test_one_step_of_a_gru():
    # x = 1, h = 0.5
    # r = sigmoid(1 * 0.5 + 0.5 * 1 + 0)     = sigmoid(1)    = 0.73106
    # z = sigmoid(1 * -1 + 0.5 * 1 + 0.5)    = sigmoid(0)    = 0.5
    # n = tanh(1 * 0.2 + 0.73106 * (0.5 * 2 + 0.1) + 0.1) = tanh(1.10416) = 0.80199
    # h' = (1 - 0.5) * 0.80199 + 0.5 * 0.5 = 0.65099
    gru = fill(GRU(1, 1), [0.5, -1.0, 0.2], [0.0, 0.5, 0.1], [1.0, 1.0, 2.0], [0.0, 0.0, 0.1])
    output, (hidden,) = gru.step(torch.ones(1, 1), (torch.full((1, 1), 0.5),))
    assert output.item() == hidden.item() == pytest.approx(0.65099, abs=1e-5)


def test_a_start_wipes_the_memory_of_a_gru():
    # h = 0: r = sigmoid(0.5) = 0.62246, z = sigmoid(-0.5) = 0.37754
    # n = tanh(0.2 + 0.62246 * 0.1 + 0.1) = tanh(0.362246) = 0.34720; h' = 0.62246 * 0.34720 = 0.21612
    gru = fill(GRU(1, 1), [0.5, -1.0, 0.2], [0.0, 0.5, 0.1], [1.0, 1.0, 2.0], [0.0, 0.0, 0.1])
    output, _ = gru.step(torch.ones(1, 1), (torch.full((1, 1), 0.5),), torch.tensor([True]))
    assert output.item() == pytest.approx(0.21612, abs=1e-5)


def test_one_step_of_an_lstm():
    # x = 1, h = 0.5, c = 2
    # i = sigmoid(1 - 1) = 0.5, f = sigmoid(0 + 0) = 0.5, g = tanh(0.5 + 0.5) = 0.76159, o = sigmoid(1 + 0) = 0.73106
    # c' = 0.5 * 2 + 0.5 * 0.76159 = 1.38080; h' = 0.73106 * tanh(1.38080) = 0.73106 * 0.88113 = 0.64416
    lstm = fill(LSTM(1, 1), [1.0, 0.0, 0.5, 1.0], [0.0] * 4, [-2.0, 0.0, 1.0, 0.0], [0.0] * 4)
    output, (_, cell) = lstm.step(torch.ones(1, 1), (torch.full((1, 1), 0.5), torch.full((1, 1), 2.0)))
    assert cell.item() == pytest.approx(1.38080, abs=1e-5)
    assert output.item() == pytest.approx(0.64416, abs=1e-5)
