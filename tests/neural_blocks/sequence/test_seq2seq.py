"""Sequence to sequence: what is seen and what is not, padding, and each network against a plain run of its parts."""

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra.envs import make_task
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.sequence.seq2seq import BottleneckSeq2Seq, LuongSeq2Seq, PictureReader, TransformerSeq2Seq

KINDS = TransformerSeq2Seq, LuongSeq2Seq, BottleneckSeq2Seq


def space(read=5, words=6, written=4, symbols=7):
    parts = {"source": spaces.MultiDiscrete([words] * read), "written": spaces.MultiDiscrete([symbols] * written)}
    return spaces.Dict(parts)


def seen(source, written):
    return {"source": torch.tensor(source), "written": torch.tensor(written)}


@pytest.fixture(params=KINDS, ids=lambda cls: cls.__name__)
def network(request):
    torch.manual_seed(0)
    return request.param(space(), 16).eval()


def test_every_word_of_the_source_and_all_that_is_written_counts(network):
    plain = network(seen([[1, 2, 3, 0, 0]], [[4, 5, 0, 0]]))
    assert plain.shape == (1, 16)
    for place in range(3):
        source = [1, 2, 3, 0, 0]
        source[place] = 5
        assert not torch.allclose(network(seen([source], [[4, 5, 0, 0]])), plain, atol=1e-6)
    for written in ([4, 1, 0, 0], [1, 5, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0], [4, 5, 5, 0], [4, 5, 5, 5]):
        assert not torch.allclose(network(seen([[1, 2, 3, 0, 0]], [written])), plain, atol=1e-6)


def test_padding_changes_nothing(network):
    """A network of a longer source, or of a longer answer, with the same weights gives the same."""
    torch.manual_seed(0)
    longer = type(network)(space(read=9, written=7), 16).eval()
    weights = {name: value for name, value in network.state_dict().items() if "places" not in name}
    longer.load_state_dict(weights, strict=False)
    rows = seen([[1, 2, 3, 0, 0], [4, 5, 4, 5, 1]], [[4, 5, 0, 0], [6, 0, 0, 0]])
    padded = {name: torch.nn.functional.pad(part, (0, 4 if name == "source" else 3)) for name, part in rows.items()}
    torch.testing.assert_close(longer(padded), network(rows), atol=1e-5, rtol=1e-5)


def test_rows_do_not_see_each_other(network):
    source, written = torch.randint(0, 6, (7, 5)), torch.randint(0, 7, (7, 4))
    together = network({"source": source, "written": written})
    for row in range(7):
        alone = network({"source": source[row : row + 1], "written": written[row : row + 1]})
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_a_source_without_a_word_gives_numbers(network):
    assert network(seen([[0] * 5], [[0] * 4])).isfinite().all()


def test_attention_is_luongs_general_one():
    """Step by step from the summary, the alignment written out."""
    torch.manual_seed(0)
    network = LuongSeq2Seq(space(), 16).eval()
    x = seen([[1, 2, 3, 0, 0]], [[4, 5, 0, 0]])
    source = network.source_words(x["source"])[:, :3]  # without the padding
    present = torch.ones(1, 3, dtype=torch.bool)
    states, summary = network.encode(source, present)
    words = network.written_words(torch.tensor([[network.start, 4, 5]]))
    memory = (summary,)
    for time in range(3):
        out, memory = network.decoder(words[:, time].unsqueeze(0), memory)
    state = out[0, 0]
    score = states[0] @ network.attention.general.weight.T @ state
    context = score.softmax(0) @ states[0]
    expected = torch.tanh(network.attention.output.weight @ torch.cat([context, state]))
    torch.testing.assert_close(network(x)[0], expected, atol=1e-5, rtol=1e-5)


def test_the_summary_is_of_the_last_word_onward_and_the_first_backwards():
    torch.manual_seed(0)
    network = BottleneckSeq2Seq(space(), 16).eval()
    source = network.source_words(torch.tensor([[3, 1, 2]])).transpose(0, 1)  # (3, 1, 16)
    onward, backward = network.encoder.onward, network.encoder.reverse
    _, (last,) = onward(source, onward.initial_memory(1))
    _, (first,) = backward(source.flip(0), backward.initial_memory(1))
    expected = torch.tanh(network.bridge(torch.cat([last, first], -1)))
    padded = torch.tensor([[3, 1, 2, 0, 0]])
    torch.testing.assert_close(network.encode(network.source_words(padded), padded != 0)[1], expected)


@pytest.mark.parametrize("cls", KINDS)
@pytest.mark.parametrize(
    "wrong",
    [
        spaces.Discrete(3),
        spaces.Dict({"source": spaces.MultiDiscrete([3, 3])}),
        spaces.Dict({"source": spaces.MultiDiscrete([3, 3]), "written": spaces.Discrete(3)}),
        spaces.Dict({"source": spaces.MultiDiscrete([[3, 3]]), "written": spaces.MultiDiscrete([3])}),
        spaces.Dict({**space().spaces, "time": spaces.Discrete(3)}),
    ],
)
def test_another_observation_is_refused(cls, wrong):
    with pytest.raises(InvalidInput, match=f"{cls.__name__}: observation space must be a Dict of 'source'"):
        cls(wrong)


def test_a_picture_is_read_place_by_place_from_what_is_written():
    space = make_task("palaestra/Caption-v0").observation_space
    reader = PictureReader(space, 8)
    image = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    written = torch.tensor([[3, 5, 0, 0, 0, 0, 0, 0, 0]] * 2)
    other = written.clone()
    other[:, 1] = 4
    first = reader({"image": image, "written": written})
    assert first.shape == (2, 8)
    assert not torch.allclose(first[0], first[1])  # the pictures differ
    assert not torch.allclose(first, reader({"image": image, "written": other}))
    torch.testing.assert_close(first[1:], reader({"image": image[1:], "written": written[1:]}))
    alignments = []
    reader.attention.register_forward_hook(lambda block, given, found: alignments.append(found[1]))
    reader({"image": image, "written": written})
    assert alignments[0].shape == (2, 1, 64)  # of the place behind the second word, over 8 x 8 places
    torch.testing.assert_close(alignments[0].sum(2), torch.ones(2, 1))
    with pytest.raises(InvalidInput, match="PictureReader: observation space must be a Dict of an image and 'written'"):
        PictureReader(space["image"])
