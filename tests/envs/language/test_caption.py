"""Caption: its pictures read pixel by pixel, its scores by hand and against NLTK."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nltk.translate import bleu_score

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.splits import SPLITS
from palaestra.envs.language.caption import COLOURS, WORDS
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Caption-v0"
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
PIXELS = {36: "square", 32: "circle", 24: "triangle"}


def started(count=300, split="train", seed=0):
    task = make_task(ID, split=split)
    noise = torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(seed))
    return task, task.reset(noise)


def spelled(caption):
    return [WORDS[word] for word in caption if word]


def seen(image):
    """The objects of a picture (3, 16, 16), by quarter: where, colour and shape, found by counting pixels."""
    found = []
    for row in (0, 8):
        for column in (0, 8):
            part = image[:, row : row + 8, column : column + 8]
            lit = part.any(0)
            if lit.any():
                (colour,) = {tuple(pixel) for pixel in part[:, lit].T.tolist()}
                name = next(name for name, value in COLOURS.items() if value == colour)
                found.append((row, column, name, PIXELS[int(lit.sum())]))
    return found


def write(task, state, words):
    """The last step of writing words and the end mark into every row."""
    for word in [*words, ""]:
        step = task.step(state, torch.full_like(state.time, WORDS.index(word)), torch.empty(len(state.time), 0))
        state = step.state
    return step


def test_captions_say_what_the_pixels_show():
    relations = set()
    _, state = started()
    for image, captions in zip(state.image.numpy(), state.captions.tolist(), strict=True):
        first, second = seen(image)
        relation = "left of" if first[0] == second[0] else "above"
        one = ["a", *first[2:], "is", relation, "a", *second[2:]]
        other = ["a", *second[2:], "is", OPPOSITE[relation], "a", *first[2:]]
        assert [spelled(caption) for caption in captions] == [one, other]
        relations.add((relation, first[:2]))
    assert len(relations) == 4


def test_scores_computed_by_hand():
    task, state = started(1)
    one, other = (spelled(caption) for caption in state.captions[0].tolist())
    for right in (one, other):
        step = write(task, state, right)
        assert bool(step.terminated)
        assert [float(step.metrics[name]) for name in ("bleu", "colour", "shape", "relation")] == [1, 1, 1, 1]
        assert float(step.reward) == 1
    lies = [*one[:4], OPPOSITE[one[4]], *one[5:]]
    step = write(task, state, lies)
    assert [float(step.metrics[name]) for name in ("colour", "shape", "relation")] == [1, 1, 0]
    colour = next(name for name in COLOURS if name not in (one[1], one[6]))
    step = write(task, state, [*one[:6], colour, one[7]])
    assert [float(step.metrics[name]) for name in ("colour", "shape", "relation")] == [0, 1, 1]
    step = write(task, state, [])
    assert [float(step.metrics[name]) for name in ("bleu", "colour", "shape", "relation")] == [0, 0, 0, 0]


def test_rewards_are_nltks_bleu_against_both_captions():
    env = BatchedEnv(make_task(ID), 64, seed=3)
    env.reset()
    generator, compared = torch.Generator().manual_seed(0), 0
    smooth = bleu_score.SmoothingFunction(epsilon=0.1).method1
    for _ in range(27):
        state = env.state
        slip = torch.rand(64, generator=generator) < 0.25
        action = torch.where(slip, torch.randint(0, 14, (64,), generator=generator), env.expert_action())
        written = state.written.clone()
        written[torch.arange(64), state.time] = action
        step = env.step(action)
        for row in step.terminated.nonzero().squeeze(1).tolist():
            hypothesis, references = (
                spelled(written[row].tolist()),
                [spelled(one) for one in state.captions[row].tolist()],
            )
            expected = 0.0
            if hypothesis:
                expected = bleu_score.sentence_bleu(references, hypothesis, smoothing_function=smooth)
            assert float(step.reward[row]) == pytest.approx(expected, abs=1e-6)
            compared += 1
    assert compared > 100


def test_the_expert_goes_on_with_the_caption_that_was_begun():
    task, state = started(200)
    one, other = state.captions.unbind(1)
    differ = (one[:, 1:3] != other[:, 1:3]).any(1)
    for place in range(3):
        state = task.step(state, other[:, place], torch.empty(200, 0)).state
    for place in range(3, 8):
        word = task.expert(state)
        assert torch.equal(word[differ], other[differ, place])
        state = task.step(state, word, torch.empty(200, 0)).state
    assert not bool(task.expert(state).any())


def test_no_test_pair_of_objects_is_a_training_pair():
    kinds = {split: {tuple(row) for row in make_task(ID, split=split).kinds.tolist()} for split in SPLITS}
    assert len(set.union(*kinds.values())) == sum(len(one) for one in kinds.values()) == 12 * 12 * 2
    assert np.array([len(kinds[split]) for split in SPLITS]).tolist() == [201, 29, 58]


def test_a_wrong_split_is_refused():
    with pytest.raises(InvalidInput, match="Caption: split must be one of 'train', 'validation', 'test'; got 'tset'"):
        make_task(ID, split="tset")
