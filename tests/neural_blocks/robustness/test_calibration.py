"""Calibration measures against torchmetrics and scikit-learn, the temperature against SciPy."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.calibration import (
    TemperatureScaling,
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)


def predictions(n=500, classes=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, classes, generator=generator)
    labels = torch.multinomial(torch.softmax(logits / 2, -1), 1, generator=generator)[:, 0]
    return logits, labels


@pytest.mark.parametrize("bins", [1, 7, 15, 100])
@pytest.mark.parametrize("seed", range(3))
def test_ece_and_mce_equal_torchmetrics(bins, seed):
    logits, labels = predictions(seed=seed)
    probabilities = torch.softmax(logits, -1)
    for ours, norm in ((expected_calibration_error, "l1"), (maximum_calibration_error, "max")):
        peer = multiclass_calibration_error(probabilities, labels, num_classes=6, n_bins=bins, norm=norm)
        assert ours(probabilities, labels, bins).item() == pytest.approx(peer.item(), abs=1e-6)


def test_a_bin_holds_its_lower_edge_and_the_last_holds_certainty():
    probabilities = torch.tensor([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0], [1.0, 0.0]])
    confidence, accuracy, share = reliability(probabilities, torch.tensor([0, 1, 0, 1]), bins=4)
    torch.testing.assert_close(share, torch.tensor([0.0, 0.0, 0.25, 0.75]))
    torch.testing.assert_close(confidence, torch.tensor([0.0, 0.0, 0.5, 2.75 / 3]))
    torch.testing.assert_close(accuracy, torch.tensor([0.0, 0.0, 1.0, 1 / 3]))


def test_the_reliability_diagram_is_scikit_learns_calibration_curve():
    logits, labels = predictions(classes=4)
    probabilities = torch.softmax(logits, -1)
    confidence, accuracy, share = reliability(probabilities, labels, 10)
    right = (probabilities.argmax(1) == labels).numpy()
    peer_accuracy, peer_confidence = calibration_curve(right, probabilities.amax(1).numpy(), n_bins=10)
    np.testing.assert_allclose(confidence[share > 0].numpy(), peer_confidence, atol=1e-5)
    np.testing.assert_allclose(accuracy[share > 0].numpy(), peer_accuracy, atol=1e-5)


def test_the_brier_score_equals_scikit_learns():
    logits, labels = predictions()
    probabilities = torch.softmax(logits.double(), -1)
    peer = brier_score_loss(labels.numpy(), probabilities.numpy(), labels=range(6), scale_by_half=False)
    assert brier_score(probabilities, labels).item() == pytest.approx(peer, abs=1e-9)
    assert brier_score(torch.eye(2), torch.tensor([1, 0])).item() == 2


def test_the_fitted_temperature_is_scipys_minimiser_and_keeps_every_choice():
    logits, labels = predictions(2000)
    scaling = TemperatureScaling()
    before = expected_calibration_error(torch.softmax(logits, -1), labels)
    scaling.fit(logits, labels)
    peer = minimize_scalar(lambda t: F.cross_entropy(logits.double() / t, labels).item(), (0.5, 5.0))
    assert scaling.log_temperature.exp().item() == pytest.approx(peer.x, rel=1e-3)
    assert peer.x == pytest.approx(2, abs=0.2)  # the labels were drawn at half the logits
    scaled = scaling(logits)
    assert (scaled.argmax(-1) == logits.argmax(-1)).all()
    assert expected_calibration_error(torch.softmax(scaled, -1), labels) < before / 3


def test_measures_and_temperature_compile_save_and_run_in_bfloat16():
    logits, labels = predictions(50)
    probabilities = torch.softmax(logits, -1)
    for measure in (expected_calibration_error, maximum_calibration_error, brier_score):
        compiled = torch.compile(measure, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(probabilities, labels), measure(probabilities, labels))
        assert measure(probabilities.bfloat16(), labels).dtype == torch.bfloat16
    scaling, loaded, file = TemperatureScaling(), TemperatureScaling(), io.BytesIO()
    scaling.fit(logits, labels)
    torch.save(scaling.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    compiled = torch.compile(loaded, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits), scaling(logits))
    assert loaded.bfloat16()(logits.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "call",
    [
        lambda scores, labels: reliability(scores, labels),
        lambda scores, labels: brier_score(scores, labels),
        lambda scores, labels: TemperatureScaling().fit(scores, labels),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(InvalidInput, match=r"\(4, 3\) and \(5,\)"):
        call(torch.ones(4, 3), torch.zeros(5, dtype=torch.long))
    with pytest.raises(InvalidInput, match="at least 1; got 0"):
        reliability(torch.ones(4, 3), torch.zeros(4, dtype=torch.long), bins=0)
