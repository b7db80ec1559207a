"""Sequences: truncated back-propagation with clipping, recall, translation, language, hard attention."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.language.decoding import beam, greedy
from palaestra.neural_blocks.language.language_model import LanguageModel, TokenEmbedding
from palaestra.neural_blocks.language.text import corpus_bleu
from palaestra.neural_blocks.sequence.attention import HardAttention, reinforce_loss
from palaestra.neural_blocks.sequence.recurrent import memory
from palaestra.neural_blocks.sequence.transformer import Encoder

CHUNK, DELAY, B = 4, 3, 32


def echo_accuracy(name, carried):
    """Share of bits repeated three steps late, trained on chunks of four steps with the memory carried on or wiped."""
    torch.manual_seed(0)
    block, head = memory(name, 1, 32), nn.Linear(32, 1)
    parameters = [*block.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, 5e-3)
    state, history, right = block.initial_memory(B), torch.zeros(DELAY, B), []
    for step in range(500):
        bits = torch.randint(0, 2, (CHUNK, B)).float()
        history = torch.cat([history, bits])[-CHUNK - DELAY :]
        state = tuple(part.detach() for part in state) if carried else block.initial_memory(B)  # truncation
        outputs, state = block(bits.unsqueeze(-1) * 2 - 1, state)
        logits = head(outputs).squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logits, history[:CHUNK])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if step >= 450:
            right.append(((logits > 0) == history[:CHUNK].bool()).float().mean())
    return torch.stack(right).mean().item()


@pytest.mark.parametrize("name", ["elman", "gru", "transformer"])
def test_truncated_back_propagation_carries_the_memory_over_chunks(name):
    assert echo_accuracy(name, carried=True) > 0.97
    assert echo_accuracy(name, carried=False) < 0.7  # of four bits three are older than the chunk: 0.25 + 0.75 / 2


def test_encoder_and_decoder_translate():
    """Words 3 to 8 come back in reverse order, one up; lengths vary, 0 ends a sentence."""
    torch.manual_seed(0)
    length, size = 6, 32
    embedding, encoder = TokenEmbedding(10, length, size, "learned"), Encoder(size, 2, 1)
    decoder = LanguageModel(10, length + 1, size, 2, 1, position="learned", d_context=size)
    parameters = [*embedding.parameters(), *encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=700)

    def sentences(count):
        lengths = torch.randint(2, length + 1, (count, 1))
        place = torch.arange(length)
        source = torch.randint(3, 9, (count, length))
        backwards = (lengths - 1 - place).clamp(min=0)
        target = F.pad((source + 1).gather(1, backwards).masked_fill(place >= lengths, -1), (0, 1), value=-1)
        return source, place < lengths, target.scatter(1, lengths, 0)

    def encoded(source, present):
        return encoder(embedding(source), present.unsqueeze(1))

    for _ in range(700):
        source, present, target = sentences(64)
        loss = decoder.loss(target, encoded(source, present), present, smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        source, present, target = sentences(100)
        state = decoder.initial_memory(100, encoded(source, present), present)
        start = torch.full((100,), decoder.start)
        plain = greedy(decoder.step, state, start, length + 1, end=0)
        wide = beam(decoder.step, state, start, length + 1, end=0, width=3)[0][:, 0]
    for hypothesis in (plain, wide):
        assert (hypothesis == target).all(1).float().mean() > 0.9
        words = hypothesis.masked_fill(hypothesis == 0, -1), target.masked_fill(target == 0, -1).unsqueeze(1)
        assert corpus_bleu(*words, max_n=2) > 0.95


def test_a_language_model_reaches_the_entropy_of_its_source():
    """A Markov chain of three tokens that stays with probability 0.8: 0.8 ln 1.25 + 0.2 ln 10 = 0.639 nats a token."""
    torch.manual_seed(0)
    length = 16
    model = LanguageModel(3, length, 16, 2, 1)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)

    def chains(count):
        moves = torch.where(torch.rand(count, length) < 0.8, 0, torch.randint(1, 3, (count, length)))
        moves[:, 0] = torch.randint(0, 3, (count,))
        return moves.cumsum(1) % 3

    for _ in range(200):
        loss = model.loss(chains(64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    entropy = (math.log(3) + (length - 1) * (0.8 * math.log(1.25) + 0.2 * math.log(10))) / length
    with torch.no_grad():
        assert entropy - 0.03 < model.loss(chains(1000)) < entropy + 0.03
        drawn = model.sample(500, seed=0)
    assert (drawn[:, 1:] == drawn[:, :-1]).float().mean().item() == pytest.approx(0.8, abs=0.04)


def test_hard_attention_learns_where_to_look_from_the_reward_alone():
    """Of six places, the one whose first feature is 1 holds the bit to name; any other is right half the time."""
    torch.manual_seed(0)
    block, head = HardAttention(1, 4), nn.Linear(4, 2)
    parameters = [*block.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, 3e-2)
    baseline = torch.tensor(0.5)

    def scenes(count):
        marked, bits = torch.randint(0, 6, (count,)), torch.randint(0, 2, (count, 6))
        mark = F.one_hot(marked, 6)
        source = torch.stack([mark, bits, 1 - bits, torch.ones_like(mark)], -1).float()
        return source, marked, bits.gather(1, marked.unsqueeze(1)).squeeze(1)

    for _ in range(500):
        source, _, bit = scenes(64)
        glimpse, _, log_probability, entropy = block(torch.ones(64, 1), source, torch.rand(64))
        logits = head(glimpse)
        reward = (logits.argmax(1) == bit).float()
        loss = F.cross_entropy(logits, bit) + reinforce_loss(log_probability, reward, baseline) - 0.01 * entropy.mean()
        baseline = 0.9 * baseline + 0.1 * reward.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        source, marked, bit = scenes(500)
        glimpse, index, _, _ = block(torch.ones(500, 1), source)
    assert (index == marked).float().mean() > 0.95
    assert (head(glimpse).argmax(1) == bit).float().mean() > 0.95
