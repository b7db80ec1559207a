"""MAML: its gradient against explicit autograd task by task, its inner losses by hand, and adaptation that helps."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from palaestra import agents
from palaestra.agents.meta.inner_loss import Block, Lesson, PolicyGradient, Supervised, _reward_to_go
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume

WAVES = {"support_steps": 5, "rollout_steps": 10, "hidden": (12, 12)}
GOALS = {"inner_loss": "policy_gradient", "support_steps": 6, "hidden": (8,)}


def waves(num_envs, seed=0, episodes=2):
    return make_batched("palaestra/Sinusoid-v0", num_envs, seed=seed, points=5, episodes=episodes)


def goals(num_envs, seed=0, episodes=2):
    return make_batched("palaestra/PointGoal-v0", num_envs, seed=seed, length=6, episodes=episodes)


def glyphs(num_envs, seed=0):
    return make_batched("palaestra/FewShot-v0", num_envs, seed=seed, ways=2, shots=1, episodes=2)


def bandits(num_envs, seed=0):
    return make_batched("palaestra/BernoulliBandit-v0", num_envs, seed=seed, arms=3, episodes=6)


def policy_loss(agent, weights, lesson):
    """The weighted loss of a two-layer or three-layer perceptron, written out."""
    x, parts = lesson.inputs, list(weights.values())
    for weight, bias in zip(parts[:-2:2], parts[1:-2:2], strict=True):
        x = torch.relu(x @ weight.T + bias)
    x = x @ parts[-2].T + parts[-1]
    if isinstance(agent.inner, Supervised):
        each = (x - lesson.target).square().mean(-1)
    else:
        each = -torch.distributions.Normal(x, agent.inner.policy.log_std.exp()).log_prob(lesson.target).sum(-1)
    return (lesson.weight * each).mean()


@pytest.mark.parametrize("objective", ["last", "each"])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(("blocks", "inner_steps"), [(2, 1), (4, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["supervised", "policy_gradient"])
def test_the_vectorised_gradient_is_that_of_explicit_autograd_task_by_task(
    kind, blocks, inner_steps, first_order, objective
):
    env = (waves if kind == "supervised" else goals)(2, episodes=blocks)
    settings = {**(WAVES if kind == "supervised" else GOALS), "rollout_steps": 5 * blocks}
    if kind != "supervised":
        settings["rollout_steps"] = 6 * blocks
    settings |= {"inner_steps": inner_steps, "first_order": first_order, "objective": objective, "inner_rate": 0.1}
    agent = agents.make("maml", env, **settings)
    agent.network.double()
    agent.encode = torch.nn.Identity()  # as it is for vectors, but in float64
    if kind != "supervised":
        agent.inner.policy.double()
    generator = torch.Generator().manual_seed(1)
    inputs, outputs = agent.inner.input_space.shape[0], agent.inner.output_size
    random = lambda *shape: torch.randn(3, blocks, 7, *shape, generator=generator, dtype=torch.float64)  # noqa: E731
    lessons = Lesson(random(inputs), random(outputs), random(), torch.ones(3, blocks, 7, dtype=torch.bool))

    losses = []
    for task in range(3):
        weights = dict(agent.head.named_parameters())
        for block in range(blocks - 1):
            for _ in range(inner_steps):
                loss = policy_loss(agent, weights, Lesson(*(part[task, block] for part in lessons)))
                slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=not first_order)
                weights = {name: one - 0.1 * slope for (name, one), slope in zip(weights.items(), slopes, strict=True)}
            if objective == "each" or block == blocks - 2:
                losses.append(policy_loss(agent, weights, Lesson(*(part[task, block + 1] for part in lessons))))
    wanted = torch.stack(losses).mean()
    loss = agent.loss(*lessons)
    torch.testing.assert_close(loss, wanted, rtol=1e-10, atol=1e-10)
    parameters = agent.parameters
    for mine, theirs in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(wanted, parameters), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8)


def test_the_last_point_of_an_episode_does_not_count_because_its_answer_is_never_shown():
    env = waves(3, seed=4)
    agent = agents.make("maml", env, **WAVES)
    env.reset()
    agent.prepare(env)
    lesson, _ = agent.collect(env)
    assert lesson.weight[:, 0].tolist() == [[1.25, 1.25, 1.25, 1.25, 0.0]] * 3
    assert lesson.weight[:, 1].tolist() == [[1.0] * 5] * 3  # the trial's end shows its last answer


def test_acting_adapts_once_an_episode_with_one_gradient_step_on_what_it_showed():
    env = waves(3, seed=4)
    agent = agents.make("maml", env, **WAVES, inner_rate=0.05)
    observation, memory, shown = env.reset(4), (), []
    for _ in range(6):
        action, memory = agent.act(observation, memory, env.episode_start)
        seen, observation = observation["observation"], env.step(action).observation
        shown.append(torch.cat([seen[:, :1], observation["observation"][:, 2:]], 1))  # x, y, known
    for row in range(3):
        points = torch.stack([step[row] for step in shown[:4]])
        weights = [one.detach().clone().requires_grad_() for one in agent.network.parameters()]
        model = lambda x, w: F.linear(F.linear(F.linear(x, w[0], w[1]).relu(), w[2], w[3]).relu(), w[4], w[5])  # noqa: E731
        error = F.mse_loss(model(points[:, :1], weights), points[:, 1:2])
        adapted = [one - 0.05 * slope for one, slope in zip(weights, torch.autograd.grad(error, weights), strict=True)]
        answer = model(seen[row, :1], adapted) / 5  # the action is a share of 5
        torch.testing.assert_close(action[row], answer.clamp(-1, 1).detach(), rtol=1e-4, atol=1e-6)


def test_a_new_trial_starts_from_the_weights_that_were_learned():
    env = waves(2, seed=4)
    agent = agents.make("maml", env, **WAVES, inner_rate=0.05)
    observation, memory = env.reset(4), ()
    for _ in range(8):
        action, memory = agent.act(observation, memory)
        observation = env.step(action).observation
    again, _ = agent.act(observation, memory, torch.tensor([True, False]))
    fresh, _ = agent.act(observation)
    went_on, _ = agent.act(observation, memory)
    torch.testing.assert_close(again, torch.stack([fresh[0], went_on[1]]))
    assert not torch.allclose(fresh[0], went_on[0])


def test_reward_to_go_ends_with_its_episode():
    reward = torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0]])
    start = torch.tensor([[True, False, False, True, False]])
    assert _reward_to_go(reward, start, 0.5).tolist() == [[3.0, 4.0, 4.0, 16.0, 16.0]]


def test_the_advantage_is_what_least_squares_on_time_and_position_leave():
    space = spaces.Dict(
        {
            "observation": spaces.Box(-np.inf, np.inf, (2,)),
            "previous_action": spaces.Box(-1, 1, (2,)),
            "previous_reward": spaces.Box(-np.inf, np.inf, (1,)),
            "episode_start": spaces.Box(0, 1, (1,)),
        }
    )
    inner = PolicyGradient(space, spaces.Box(-1, 1, (2,)), 0.0, torch.device("cpu"))
    generator = torch.Generator().manual_seed(3)
    inputs, outcome = (torch.randn(1, 40, n, generator=generator) for n in (2, 1))
    start = (torch.arange(40) % 20 == 0)[None]
    found = inner.lesson(Block(inputs, torch.zeros(1, 40, 2), outcome, start)).weight[0].double().numpy()
    time = np.arange(40) % 20 / 40
    x, y = inputs[0].double().numpy(), outcome[0, :, 0].double().numpy()
    features = np.column_stack([time**k for k in range(4)] + [x, x**2])
    features /= abs(features).max(0)
    normal = features.T @ features + 1e-3 * np.eye(8)
    left = y - features @ np.linalg.solve(normal, features.T @ y)
    np.testing.assert_allclose(found, (left - left.mean()) / left.std(), atol=1e-3)


def test_a_policy_explores_until_its_last_adaptation_and_then_does_what_is_best():
    env = goals(4)
    agent = agents.make("maml", env, **GOALS, rollout_steps=12)
    observation, memory = env.reset(1), ()
    for time in range(12):
        (first, after), (second, _) = (agent.act(observation, memory, greedy=True) for _ in range(2))
        assert torch.equal(first, second) == (time >= 6)
        observation, memory = env.step(first).observation, after


def test_a_policy_on_point_goal_is_better_after_its_gradient_step():
    settings = {"inner_rate": 0.1, "gamma": 0.5, "learning_rate": 3e-3, "hidden": (32,)}
    make = lambda num_envs, seed=0: make_batched(  # noqa: E731
        "palaestra/PointGoal-v0", num_envs, seed=seed, length=30
    )
    env = make(60, seed=1)
    agent = agents.make("maml", env, inner_loss="policy_gradient", support_steps=30, rollout_steps=60, **settings)
    list(agent.learn(env, 60 * 60 * 30))
    test = make(256)
    observation, memory, rewards = test.reset(10**6), (), []
    for _ in range(60):
        action, memory = agent.act(observation, memory, greedy=True)
        step = test.step(action)
        observation = step.observation
        rewards.append(step.reward.mean())
    before, after = torch.stack(rewards).unflatten(0, (2, 30)).sum(1)
    assert after > 0.8 * before  # both are negative


def test_unseen_glyphs_are_named_after_a_gradient_step_on_each_that_was_shown():
    make = lambda num_envs, **options: make_batched(  # noqa: E731
        "palaestra/FewShot-v0", num_envs, ways=3, shots=2, **options
    )
    settings = {"support_steps": 1, "rollout_steps": 9, "inner_rate": 0.3, "objective": "each", "hidden": ()}
    env = make(64, seed=1)
    agent = agents.make("maml", env, learning_rate=3e-3, **settings)
    list(agent.learn(env, 64 * 9 * 12))
    metrics = agents.evaluate(agent, make(128, split="test"), 128, seed=10**6).metrics
    assert metrics["shot_2"] > 0.6  # guesses are right once in three


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (waves, WAVES),
        (goals, {**GOALS, "rollout_steps": 12}),
        (glyphs, {"support_steps": 4, "rollout_steps": 8, "hidden": ()}),
        (bandits, {**GOALS, "support_steps": 3, "rollout_steps": 6, "gamma": 0.0}),
    ],
)
def test_a_resumed_run_equals_the_run_that_was_not_stopped(make, settings):
    check_resume("maml", lambda: make(5), 5 * settings["rollout_steps"] * 4, tasks=3, **settings)


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(InvalidInput, match="must be a multiple of support_steps 5, twice it or more; got 5"):
        agents.make("maml", waves(2), support_steps=5, rollout_steps=5)
    with pytest.raises(InvalidInput, match="the steps of a whole episode or trial; got 20, and Sinusoid"):
        next(agents.make("maml", waves(2)).learn(waves(2), 100))
    with pytest.raises(InvalidInput, match="maml: observations must show the answer"):
        agents.make("maml", goals(2))
    with pytest.raises(InvalidInput, match="maml: observation space must be a trial's"):
        agents.make("maml", waves(2, episodes=1), inner_loss="policy_gradient", support_steps=5, rollout_steps=10)


@pytest.mark.parametrize("second", [False, True])
def test_the_second_derivative_by_dice_is_that_of_the_expected_return(second):
    """Of two pulls of three levers, in one episode or in two; every pair of actions by its chance."""
    agent = agents.make(
        "maml", bandits(2), inner_loss="policy_gradient", inner_estimator="dice", support_steps=2, rollout_steps=6,
        hidden=(),
    )  # fmt: skip
    agent.head.double()
    action = torch.cartesian_prod(torch.arange(3), torch.arange(3))  # (9, 2)
    reward = torch.tensor([1.0, 0.3, -0.5], dtype=torch.float64)[action]
    to_go = reward if second else reward.flip(1).cumsum(1).flip(1)
    start = torch.tensor([[True, second]]).expand(9, 2)
    inputs = torch.zeros(9, 2, agent.encode.output_size, dtype=torch.float64)

    def chances(logits):
        return logits.softmax(0)[action].prod(1)

    def sampled(estimator):
        def objective(logits):
            weights = {name: torch.zeros(9, *part.shape).double() for name, part in agent.head.named_parameters()}
            weights["layers.0.bias"] = logits.expand(9, 3)
            agent.config = agent.config.model_copy(update={"inner_estimator": estimator})
            loss = agent._inner_loss(weights, Lesson(inputs, action, to_go, start))
            return (chances(logits).detach() * -2 * loss).sum()

        return objective

    logits = torch.tensor([0.2, -0.4, 0.7], dtype=torch.float64)
    exact = lambda values: (chances(values) * reward.sum(1)).sum()  # noqa: E731
    hessian, gradient = torch.autograd.functional.hessian, torch.func.grad
    torch.testing.assert_close(gradient(sampled("dice"))(logits), gradient(exact)(logits))
    torch.testing.assert_close(hessian(sampled("dice"), logits), hessian(exact, logits))
    torch.testing.assert_close(gradient(sampled("plain"))(logits), gradient(exact)(logits))
    assert (hessian(sampled("plain"), logits) - hessian(exact, logits)).abs().max() > 0.05


def test_dice_is_resumed_and_is_for_policies():
    settings = {**GOALS, "support_steps": 3, "rollout_steps": 6, "inner_estimator": "dice", "tasks": 3}
    check_resume("maml", lambda: bandits(5), 5 * 6 * 4, **settings)
    with pytest.raises(InvalidInput, match="inner_estimator 'dice' is for the inner_loss 'policy_gradient'"):
        agents.make("maml", waves(2), **WAVES, inner_estimator="dice")
