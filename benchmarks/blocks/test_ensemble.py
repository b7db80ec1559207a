"""What averaging and calibration do for digit classifiers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.robustness.calibration import TemperatureScaling, expected_calibration_error
from palaestra.neural_blocks.robustness.ensemble import Ensemble, snapshot, weight_average

CYCLE = 60  # updates


@pytest.fixture(scope="module")
def run(digits):
    """One training run on 200 digits in five cosine cycles: the snapshots, the last model and its weight average."""
    images, labels = digits[0][:200], digits[1][:200]
    torch.manual_seed(0)
    model, snapshots = nn.Sequential(nn.Flatten(), MLP(64, (128,), 10, activation="relu")), []
    optimiser = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9)
    cycles = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, CYCLE)
    average = weight_average(model)
    for update in range(5 * CYCLE):
        rows = torch.randint(0, 200, (32,))
        optimiser.zero_grad()
        F.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimiser.step()
        cycles.step()
        if (update + 1) % CYCLE == 0:
            snapshots.append(snapshot(model))
            average.update_parameters(model)
    return snapshots, model, average


@torch.no_grad()
def held_out_loss(model, digits):
    return F.cross_entropy(model(digits[2]), digits[3]).item()


def test_an_ensemble_of_snapshots_beats_each_of_them_and_averaged_weights_the_last(run, digits):
    snapshots, last, average = run
    alone = [held_out_loss(member, digits) for member in snapshots]
    assert held_out_loss(Ensemble(snapshots), digits) < min(alone)
    assert held_out_loss(average, digits) < held_out_loss(last, digits)


def test_a_fitted_temperature_calibrates_an_overconfident_classifier(run, digits):
    with torch.no_grad():
        logits = run[1](torch.cat([digits[0][200:], digits[2]]))
    labels = torch.cat([digits[1][200:], digits[3]])
    scaling = TemperatureScaling()
    scaling.fit(logits[:400], labels[:400])
    before, after = logits[400:], scaling(logits[400:]).detach()
    assert scaling.log_temperature.item() > 0.1  # it was too sure
    assert F.cross_entropy(after, labels[400:]) < F.cross_entropy(before, labels[400:])
    errors = [expected_calibration_error(torch.softmax(scores, -1), labels[400:]).item() for scores in (before, after)]
    assert errors[1] < 0.75 * errors[0]
