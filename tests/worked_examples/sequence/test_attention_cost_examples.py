"""What attention costs by the lengths of its sequences, and what a second language costs once a source is read."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from palaestra.neural_blocks.sequence.attention import attention
from palaestra.neural_blocks.sequence.transformer import Decoder, Encoder

C = 16


def operations(run):
    """Multiplications and additions of matrix products."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_the_three_attentions_cost_the_products_of_their_lengths():
    """M words are read and N written: encoder M² C, across M N C, decoder N² C, for scores and again for the mean."""
    read, written = 12, 7
    costs = [
        operations(lambda t=t, s=s: attention(torch.zeros(1, t, C), torch.zeros(1, s, C), torch.zeros(1, s, C)))
        for t, s in ((read, read), (written, read), (written, written))
    ]
    assert costs == [4 * C * read**2, 4 * C * read * written, 4 * C * written**2]


def test_a_second_language_is_written_without_reading_again():
    torch.manual_seed(0)
    encoder = Encoder(C, 2, 1)
    languages = [Decoder(C, 2, 1, 8, d_context=C) for _ in range(2)]
    source, words = torch.randn(1, 12, C), torch.randn(1, 7, C)
    read = []
    encoder.register_forward_hook(lambda *_: read.append(1))
    states = encoder(source)
    for decoder in languages:  # each language by steps, from the keys and values of what was read once
        memory, told = decoder.initial_memory(1, states), []
        for word in words.unbind(1):
            out, memory = decoder.step(word, memory)
            told.append(out)
        torch.testing.assert_close(torch.stack(told, 1), decoder(words, states))
    assert len(read) == 1
