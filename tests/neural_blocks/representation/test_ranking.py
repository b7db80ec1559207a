"""Average precision against scikit-learn and torchmetrics."""

import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.classification import binary_average_precision

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.representation.ranking import average_precision


@pytest.mark.parametrize("levels", [3, 20, 10_000])
def test_average_precision_equals_both_peers_also_with_ties(levels):
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(0, levels, (8, 60), generator=generator) / levels
    relevant = torch.rand(8, 60, generator=generator) < 0.3
    ours = average_precision(scores, relevant)
    for row in range(8):
        peer = average_precision_score(relevant[row].numpy(), scores[row].numpy())
        assert ours[row].item() == pytest.approx(peer, abs=1e-6)
        other = binary_average_precision(scores[row], relevant[row].int())
        assert ours[row].item() == pytest.approx(other.item(), abs=1e-6)


def test_three_relevant_of_five():
    scores, relevant = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([1, 0, 1, 1, 0]).bool()
    assert average_precision(scores, relevant).item() == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_nothing_relevant_scores_zero_and_batches_of_any_shape_serve():
    scores = torch.rand(2, 3, 4)
    assert (average_precision(scores, torch.zeros(2, 3, 4).bool()) == 0).all()
    assert average_precision(scores, torch.ones(2, 3, 4).bool()).tolist() == [[1.0] * 3] * 2


def test_average_precision_compiles_and_takes_bfloat16():
    scores, relevant = torch.rand(5, 9), torch.rand(5, 9) < 0.5
    compiled = torch.compile(average_precision, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(scores, relevant), average_precision(scores, relevant))
    torch.testing.assert_close(
        average_precision(scores.bfloat16(), relevant), average_precision(scores.bfloat16().float(), relevant)
    )


def test_bad_input_is_named():
    with pytest.raises(InvalidInput, match=r"\(2, 4\) and \(2, 3\)"):
        average_precision(torch.ones(2, 4), torch.ones(2, 3).bool())
