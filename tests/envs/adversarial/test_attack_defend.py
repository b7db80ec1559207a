"""AttackDefend: its rules by hand, and its scripted players against the attack that they are made of."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs import BatchedEnv, make_game, make_task
from palaestra.envs.frozen.classifiers import classifier
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.adversarial import pgd

GAME = "palaestra/AttackDefend-v0"


def test_answers_are_paid_as_the_rules_say():
    game = make_game(GAME, digits=2, passing=-0.25)
    noise = torch.linspace(0.1, 0.9, 6).view(3, 2)
    state = game.reset(noise)
    label = game.labels[(noise[:, 1] * len(game.labels)).long()]
    still = torch.zeros(3, 64)
    first = game.step(state, {"attacker": still, "defender": label}, noise[:, :1])
    assert first.reward["defender"].tolist() == [0, 0, 0]  # the unchanged digit does not count
    label = game.labels[state.index]
    answer = torch.stack([label[0], (label[1] + 1) % 10, torch.tensor(10)])
    second = game.step(first.state, {"attacker": still, "defender": answer}, noise[:, :1])
    assert second.reward["defender"].tolist() == [0.5, -0.5, -0.125]
    assert second.reward["attacker"].tolist() == [-0.5, 0.5, 0.125]
    assert [second.metrics[name].tolist() for name in ("accuracy", "fooled", "passed")] == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]
    assert not bool(second.terminated.any())
    assert bool(game.step(second.state, {"attacker": still, "defender": answer}, noise[:, :1]).terminated.all())


def test_a_change_stays_within_its_limits_and_is_shown_in_the_next_step():
    game = make_game(GAME, epsilon=0.1)  # 25 grey levels
    state = game.reset(torch.rand(64, 2, generator=torch.Generator().manual_seed(0)))
    image = game.observe(state)["attacker"]["image"]
    action = torch.linspace(-1, 1, 64).repeat(64, 1)
    step = game.step(state, {"attacker": action, "defender": torch.zeros(64).long()}, torch.rand(64, 1))
    shown = game.observe(step.state)["defender"]
    expected = (image.int() + (25 * action).round().int().view(64, 1, 8, 8)).clamp(0, 255)
    assert torch.equal(shown.int(), expected)
    assert int((shown.int() - image.int()).abs().max()) == 25


def play(opponent, player, policy, split="test"):
    """The mean accuracy of the defender over 256 episodes."""
    env = BatchedEnv(make_task(GAME, player=player, opponent=opponent, split=split), 256, seed=4)
    env.reset()
    accuracy = []
    for _ in range(9):
        accuracy.append(env.step(policy(env)).metrics["accuracy"])
    return float(torch.stack(accuracy[1:]).mean())


def test_projected_gradient_is_the_experts_attack():
    game = make_game(GAME, split="test")
    network = classifier("plain").double()
    images, labels = game.images[:100].double() / 255, game.labels[:100]
    radius = 51 / 255  # whole grey levels within 0.2
    attacked = pgd(network, images, labels, radius, step_size=radius / 4, steps=10)
    opponent = game.opponents("defender")["plain"]()
    change = opponent.best_response({"image": game.images[:100], "label": labels})
    shown = (game.images[:100] + (51 * change).round().view(-1, 1, 8, 8)).clamp(0, 255)
    assert float((shown / 255 - attacked).abs().max()) <= 0.5 / 255 + 1e-6


def test_the_gradient_attacker_recalls_what_projected_gradient_finds():
    game = make_game(GAME, split="test")
    attacker, surrogate = (
        game.opponents(player)[name]() for player, name in (("attacker", "pgd"), ("defender", "plain"))
    )
    rows = torch.arange(0, 360, 7)
    seen = {"image": game.images[rows], "label": game.labels[rows]}
    change = attacker(seen, torch.empty(len(rows), 0))
    assert torch.equal(change, surrogate.change(seen, steps=4))
    assert float(change.abs().amax(1).min()) == 1
    strange = {"image": 255 - game.images[:3], "label": game.labels[:3]}  # none of the game's digits
    assert not bool(attacker(strange, torch.empty(3, 0)).any())


def test_the_scripted_players_are_as_strong_as_they_should_be():
    expert = play("plain", "attacker", lambda env: env.expert_action())
    assert expert < 0.2
    assert play("robust", "attacker", lambda env: env.expert_action()) > expert + 0.4
    assert play("plain", "attacker", lambda env: torch.zeros(256, 64)) > 0.95
    plain = make_game(GAME).opponents("defender")["plain"]()
    assert play("pgd", "defender", lambda env: plain(env.observation, torch.zeros(256, 0))) < 0.03
    labels = lambda env: env.expert_action()  # noqa: E731
    for opponent in ("pgd", "random", "none"):
        assert play(opponent, "defender", labels) == 1


def test_a_classifier_says_the_same_of_a_row_alone_as_in_a_batch():
    game = make_game(GAME)
    for kind in ("plain", "robust"):
        opponent = game.opponents("defender")[kind]()
        seen = {"image": game.images[:33], "label": game.labels[:33]}
        together, answers = opponent.best_response(seen), opponent(game.images[:33], torch.zeros(33, 0))
        for row in range(0, 33, 8):
            alone = opponent.best_response({name: part[row : row + 1] for name, part in seen.items()})
            assert torch.equal(alone[0], together[row])
            assert torch.equal(opponent(game.images[row : row + 1], torch.zeros(1, 0))[0], answers[row])


@pytest.mark.parametrize("options", [{"epsilon": 0.0}, {"passing": 2}, {"digits": 0}, {"split": "tset"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(InvalidInput, match=f"AttackDefend: {next(iter(options))} must be"):
        make_game(GAME, **options)
