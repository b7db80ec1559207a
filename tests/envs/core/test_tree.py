import pytest
import torch

from palaestra.envs.core.tree import put


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 8)])  # rows of eight bytes or of none
def test_rows_are_put_into_a_copy(dtype, shape):
    before = torch.arange(torch.Size(shape).numel()).view(shape).to(dtype)
    kept, part, rows = before.clone(), torch.full((2, *shape[1:]), 7, dtype=dtype), torch.tensor([4, 1])
    after = put({"a": before}, rows, {"a": part})["a"]
    expected = before.clone()
    expected[rows] = part
    assert torch.equal(after, expected)
    assert torch.equal(before, kept)


def test_what_stands_twice_in_a_tree_is_copied_once_and_nothing_else_is_shared():
    state, part, rows = torch.zeros(4, 3), torch.ones(1, 3), torch.tensor([2])
    first, again, other = put((state, {"seen": state}, state), rows, (part, {"seen": part}, part.clone()))
    assert first is again["seen"]
    assert other is not first
    assert torch.equal(other, first)
    assert float(first.sum()) == 3
    assert float(state.sum()) == 0
