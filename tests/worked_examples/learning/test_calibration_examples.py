"""Calibration errors by hand, and by torchmetrics."""

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from palaestra.neural_blocks.robustness.calibration import (
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
)


def test_four_predictions_in_two_bins():
    """Bin [0, 0.5): 0.4 sure and right once. Bin [0.5, 1]: (0.6 + 0.8 + 0.7) / 3 = 0.7 sure, right once in three.

    ECE = (|0.4 - 1| + 3 |0.7 - 1 / 3|) / 4 = 0.425 and MCE = 0.6.
    """
    probabilities = torch.tensor([[0.4, 0.3, 0.3], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.7, 0.1, 0.2]])
    labels = torch.tensor([0, 0, 2, 1])
    for ours, norm, by_hand in ((expected_calibration_error, "l1", 0.425), (maximum_calibration_error, "max", 0.6)):
        assert ours(probabilities, labels, bins=2).item() == pytest.approx(by_hand, abs=1e-6)
        peer = multiclass_calibration_error(probabilities, labels, num_classes=3, n_bins=2, norm=norm)
        assert peer.item() == pytest.approx(by_hand, abs=1e-6)


def test_a_forecast_of_three_classes():
    """(0.7 - 1)^2 + 0.2^2 + 0.1^2 = 0.14; sure and wrong costs 2."""
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]])
    assert brier_score(probabilities[:1], torch.tensor([0])).item() == pytest.approx(0.14)
    assert brier_score(probabilities, torch.tensor([0, 2])).item() == pytest.approx(1.07)
