"""Acting by beam search: against all answers, from any place on, and refused where nothing is written."""

from itertools import product

import gymnasium.spaces as spaces
import pytest
import torch
import torch.nn.functional as F

from palaestra import agents
from palaestra.agents.networks.beam import next_word
from palaestra.agents.networks.distributions import Categorical, MultiCategorical
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput

LENGTH, WORDS = 3, 4


def table(seed):
    """Logits of the next word by all that is written, a different row for every beginning."""
    rows = torch.randn(WORDS**LENGTH, WORDS, generator=torch.Generator().manual_seed(seed))
    powers = WORDS ** torch.arange(LENGTH)
    return lambda seen: rows[(seen["written"] * powers).sum(1)]


def best_answer(logits, written):
    """The first word of the answer of the highest mean log-probability, by trying every one; a full one ends surely."""
    given = [word for word in written if word]
    best = None
    for more in range(1, LENGTH - len(given) + 1):
        for words in product(range(1, WORDS), repeat=more - 1):
            for last in range(WORDS):
                if last and more < LENGTH - len(given):
                    continue  # not ended, and there is room
                answer, total, so_far = [*words, last], 0.0, list(given)
                for word in answer:
                    shown = torch.tensor([[*so_far, *[0] * (LENGTH - len(so_far))]])
                    total += float(logits({"written": shown}).log_softmax(-1)[0, word])
                    so_far.append(word)
                mean = total / (len(answer) + (last != 0))
                if best is None or mean > best[0]:
                    best = mean, answer[0]
    return best[1]


@pytest.mark.parametrize("written", [[0, 0, 0], [2, 0, 0], [3, 1, 0]])
def test_a_wide_beam_finds_the_best_of_all_answers(written):
    differs = 0
    for seed in range(40):
        logits, shown = table(seed), torch.tensor([written])
        observation = {"source": torch.zeros(1, 2, dtype=torch.int64), "written": shown}
        assert next_word(logits, observation, 64).tolist() == [best_answer(logits, written)]
        assert next_word(logits, observation, 1).tolist() == logits(observation).argmax(-1).tolist()
        differs += best_answer(logits, written) != int(logits(observation).argmax(-1))
    assert differs > 0


def test_an_agent_s_answers_get_as_long_as_its_settings_favour():
    env = make_batched("palaestra/Translate-v0", 4, words=2, seed=3)
    settings = {"encoder": "seq2seq", "hidden": (), "beam": 40, "beam_normalisation": 0.0}
    short, long = (agents.make("behaviour_cloning", env, beam_bonus=bonus, **settings) for bonus in (0.0, 60.0))
    observation = env.reset()
    assert (short.act(observation, greedy=True)[0] == 0).all()  # one of few likely words ends it at once
    assert (long.act(observation, greedy=True)[0] != 0).all()


def test_an_agent_acts_by_beam_search_when_it_is_greedy():
    env = make_batched("palaestra/Translate-v0", 6, words=2, seed=3)
    plain, wide = (agents.make("behaviour_cloning", env, encoder="seq2seq", hidden=(), beam=beam) for beam in (1, 40))
    for agent in (plain, wide):
        agent.network.actor.layers[0].weight.data *= 400  # sure of itself, as a trained one
    observation, found = env.reset(), False
    for _ in range(4):
        (one, _), (other, _) = (agent.act(observation, greedy=True) for agent in (plain, wide))
        found = found or not torch.equal(one, other)
        logits = lambda seen: wide.network.act(seen, (), torch.zeros(len(seen["written"])).bool())[0]  # noqa: E731
        assert torch.equal(other, next_word(logits, observation, 40))
        observation = env.step(env.task.expert(env.state)).observation
    assert found


@pytest.mark.parametrize(
    ("id", "setting", "told"),
    [
        ("palaestra/Copy-v0", {"beam": 2}, "beam above 1 needs a Dict of 'source' and 'written'"),
        ("palaestra/Translate-v0", {"beam": 2, "memory": "gru"}, "beam must be 1 with a memory; got 2"),
        ("palaestra/Translate-v0", {"beam": 0}, "beam"),
        ("palaestra/PointGoal-v0", {"label_smoothing": 0.1}, "label_smoothing needs a Discrete or MultiDiscrete"),
    ],
)
def test_what_does_not_fit_is_refused(id, setting, told):
    with pytest.raises(InvalidInput, match=told):
        agents.make("behaviour_cloning", make_batched(id, 2), **setting)


def test_smoothed_labels_are_those_of_pytorch():
    env = make_batched("palaestra/Copy-v0", 8)
    agent = agents.make("behaviour_cloning", env, hidden=(8,), label_smoothing=0.2)
    observation, start = env.reset().unsqueeze(0), torch.ones(1, 8, dtype=torch.bool)
    label = torch.randint(int(env.action_space.n), (1, 8))
    logits, _ = agent.network(observation, (), start)
    expected = F.cross_entropy(logits[0], label[0], label_smoothing=0.2)
    assert agent.loss(observation, start, label, ())[0].item() == pytest.approx(expected.item())


def test_the_mean_log_probability_is_over_all_actions():
    logits = torch.randn(5, 7)
    one = Categorical(spaces.Discrete(7)).mean_log_prob(logits)
    torch.testing.assert_close(one, logits.log_softmax(-1).mean(-1))
    two = MultiCategorical(spaces.MultiDiscrete([3, 4])).mean_log_prob(logits)
    expected = logits[:, :3].log_softmax(-1).mean(-1) + logits[:, 3:].log_softmax(-1).mean(-1)
    torch.testing.assert_close(two, expected)
