"""Full context embeddings: against PyTorch's two-way LSTM and the paper's equations, and within matching networks."""

import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.envs import make_batched
from palaestra.neural_blocks.representation.full_context import FullContext
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

STEPS = 6  # of an episode: each class twice, and once more
SMALL = {"embedding": 4, "rollout_steps": STEPS, "context_steps": 2}


def glyphs():
    return make_batched("palaestra/FewShot-v0", 4, seed=0, ways=2, shots=2)


def reference(block, support, query):
    """One episode's examples (S, D) and queries (Q, D) in context, by PyTorch's LSTM and step by step."""
    both = nn.LSTM(3, 3, bidirectional=True)
    with torch.no_grad():
        for cell, ending in ((block.forwards, "l0"), (block.backwards, "l0_reverse")):
            for name, value in cell.named_parameters():
                getattr(both, f"{name}_{ending}").copy_(value)
    ahead, back = both(support)[0].split(3, -1)
    examples = support + ahead + back
    found = []
    for one in query:
        hidden = memory = read = torch.zeros(1, 3)
        for _ in range(block.steps):
            step, memory = block.reader(torch.cat([one[None], read], 1), (hidden, memory))
            hidden = step + one
            shares = torch.softmax(torch.stack([hidden[0] @ example for example in examples]), 0)
            read = sum(share * example for share, example in zip(shares, examples, strict=True))[None]
        found.append(hidden[0])
    return examples, torch.stack(found)


def test_examples_and_questions_are_embedded_as_the_paper_says():
    torch.manual_seed(0)
    block, support, query = FullContext(3, 4), torch.randn(2, 5, 3), torch.randn(2, 2, 3)
    known = torch.ones(2, 5, dtype=torch.bool)
    examples, questions = block(support, known, query)
    for row in range(2):
        expected, asked = reference(block, support[row], query[row])
        torch.testing.assert_close(examples[row], expected)
        torch.testing.assert_close(questions[row], asked)


def test_what_is_not_known_is_passed_over():
    torch.manual_seed(1)
    block, support, query = FullContext(3, 3), torch.randn(1, 5, 3), torch.randn(1, 2, 3)
    known = torch.tensor([[True, False, True, False, True]])
    examples, questions = block(support, known, query)
    expected, asked = block(support[:, ::2], known[:, ::2], query)
    torch.testing.assert_close(examples[:, ::2], expected)
    torch.testing.assert_close(questions, asked)


def test_acting_and_learning_embed_alike():
    env = glyphs()
    agent = agents.make("matching", env, seed=1, **SMALL)
    agent.enter(env, 100)
    (question, label), _ = agent.collect(env)
    shown = []
    for time in range(STEPS):
        seen = question[:, time] if isinstance(question, torch.Tensor) else {k: v[:, time] for k, v in question.items()}
        query = agent.network.encoder(seen)
        before = torch.arange(STEPS) < time
        kept = label.masked_fill(~before, agent.ways)
        embedding = agent.network.encoder(question.flatten(0, 1)).unflatten(0, (4, STEPS))
        shown.append(agent.logits(embedding, kept, query.unsqueeze(1))[:, 0].log_softmax(-1))
        zeroed = embedding.masked_fill(~before.view(1, STEPS, 1), 0.0)
        only = agent.logits(zeroed, kept, query.unsqueeze(1))[:, 0].log_softmax(-1)
        torch.testing.assert_close(only, shown[-1])  # what is to come does not matter
    losses = torch.nn.functional.cross_entropy(
        torch.stack(shown, 1).flatten(0, 1), label.flatten(), ignore_index=agent.ways
    )
    torch.testing.assert_close(agent.loss(question, label), losses)


def test_context_is_resumed_and_captured(monkeypatch):
    check_resume("matching", glyphs, 96, **SMALL)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = glyphs()
        agent = agents.make("matching", env, seed=3, **SMALL)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 64)), agent.state_dict()))
    close(states[1], states[0])


@pytest.mark.parametrize("steps", [0, 65])
def test_steps_have_bounds(steps):
    with pytest.raises(ValueError, match="context_steps"):
        agents.make("matching", glyphs(), context_steps=steps)
