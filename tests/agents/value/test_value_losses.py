"""DQN and SAC: losses and gradients in float64 against the papers' formulas written out, one transition at a time."""

import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.agents import DQN, SAC, DQNConfig, SACConfig
from palaestra.agents.core.randomness import UPDATE
from palaestra.agents.learning.replay import Replay, Transition
from palaestra.envs.core.noise import normal

OBSERVATION = spaces.Box(-3, 3, (3,), np.float32)
GAMMA = 0.9


def doubled(agent, *networks):
    """The agent in float64, its networks and their targets with weights of their own, large enough to matter."""
    agent.networks.double()
    for network in networks:
        network.encoder = torch.nn.Identity()  # the encoders make float32
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in agent.networks.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.6)
    for optimiser in agent.optimisers.values():
        for state in optimiser.state.values():
            state |= {name: moment.double() for name, moment in state.items() if name != "step"}
    return agent


def replayed(action, chunk=1, num_envs=4, steps=12, memory=()):
    """A ring of random float64 transitions, some terminated, some truncated."""
    generator = torch.Generator().manual_seed(3)
    normal = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    replay = Replay(num_envs * steps, num_envs, torch.device("cpu"), chunk)
    start = torch.ones(num_envs, dtype=torch.bool)
    for _ in range(steps):
        kind = torch.rand(num_envs, generator=generator)
        terminated, truncated = kind < 0.2, kind > 0.8
        replay.write(
            Transition(
                normal(num_envs, 3), start, action(num_envs, generator), 3 * normal(num_envs), terminated, truncated,
                normal(num_envs, 3),
            ),
            tuple(normal(num_envs, *shape) for shape in memory),
        )  # fmt: skip
        start = terminated | truncated
    return replay


def whole_number(num_envs, generator):
    return torch.randint(3, (num_envs,), generator=generator)


def gradients(loss, module):
    return torch.autograd.grad(loss, list(module.parameters()))


def same(loss, expected, module):
    """The same value, and the same gradient of every weight."""
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    for mine, reference in zip(gradients(loss, module), gradients(expected, module), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-12)


def huber(error):
    """Mnih et al. (2015): quadratic within 1, linear beyond."""
    return 0.5 * error**2 if abs(error) <= 1 else abs(error) - 0.5


def dueling_values(network, x):
    """Wang et al. (2016), equation 9."""
    advantage = network.advantage(x)
    return network.value(x) + advantage - advantage.sum() / len(advantage)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_the_loss_of_dqn_is_that_of_the_papers(double, dueling, n):
    config = DQNConfig(double=double, dueling=dueling, n_step=n, gamma=GAMMA, batch_size=100, hidden=(4,))
    agent = DQN(OBSERVATION, spaces.Discrete(3), config)
    doubled(agent, agent.network, agent.target)
    values = dueling_values if dueling else lambda network, x: network.advantage(x)
    batch = agent.draw(replayed(whole_number))
    total, sizes = 0.0, []
    for i in range(100):
        following = values(agent.target, batch.next_observation[0, i]).detach()
        chooser = values(agent.network, batch.next_observation[0, i]).detach() if double else following
        target = batch.reward[0, i] + batch.discount[0, i] * following[int(chooser.argmax())]
        error = values(agent.network, batch.observation[0, i])[batch.action[0, i]] - target
        sizes.append(abs(error.item()))
        total = total + huber(error) / 100
    assert min(sizes) < 1 < max(sizes)
    assert {0.0, round(GAMMA**n, 9)} <= {round(value, 9) for value in batch.discount[0].tolist()}
    same(agent.loss(batch)[0], total, agent.network)


@pytest.mark.parametrize("n", [1, 3])
def test_the_loss_of_a_recurrent_dqn_is_that_of_plain_steps_through_each_sequence(n):
    config = DQNConfig(
        memory="gru", memory_size=5, sequence_length=4, rollout_steps=4, n_step=n, gamma=GAMMA, batch_size=40,
        hidden=(4,),
    )  # fmt: skip
    agent = DQN(OBSERVATION, spaces.Discrete(3), config)
    doubled(agent, agent.network, agent.target)
    batch = agent.draw(replayed(whole_number, chunk=4, memory=[(5,)]))
    T, N = batch.reward.shape
    assert (T, N) == (4, 10)
    assert batch.start[1:].any()

    def unrolled(network, i):
        """The values of each observation, and of what each step led to, in one sequence."""
        memory, here, there = batch.memory[0][i : i + 1], [], []
        for t in range(T):
            if batch.start[t, i]:
                memory = torch.zeros_like(memory)
            output, (memory,) = network.memory.step(batch.observation[t, i][None], (memory,))
            here.append(network.advantage(output)[0])
            then, _ = network.memory.step(batch.next_observation[t, i][None], (memory,))
            there.append(network.advantage(then)[0])
        return here, there

    total = 0.0
    for i in range(N):
        (here, chooser), (_, following) = unrolled(agent.network, i), unrolled(agent.target, i)
        for t in range(T):
            last = int(batch.last[t, i])
            best = following[last].detach()[int(chooser[last].argmax())]
            error = here[t][batch.action[t, i]] - batch.reward[t, i] - batch.discount[t, i] * best
            total = total + huber(error) / (T * N)
    same(agent.loss(batch)[0], total, agent.network)


def unit_box_action(num_envs, generator):
    return 2 * torch.rand(num_envs, 2, generator=generator, dtype=torch.float64) - 1


@pytest.fixture
def soft():
    """A SAC agent in float64 and a batch of 30 transitions."""
    box = spaces.Box(np.float32([-1, 0]), np.float32([1, 5]))
    agent = SAC(OBSERVATION, box, SACConfig(hidden=(4,), batch_size=60, gamma=GAMMA))
    doubled(agent, agent.actor, agent.critic, agent.target)
    with torch.no_grad():
        agent.log_temperature.fill_(-0.4)
    return agent, agent.draw(replayed(unit_box_action))


def density(agent, x, noise):
    """Haarnoja et al. (2018), appendix C: a squashed action and its log-density, from torch's own distributions."""
    mean, spread = agent.actor.actor(x).chunk(2)
    normal = torch.distributions.Normal(mean, (-5 + 7 * (torch.tanh(spread) + 1) / 2).exp())
    before = normal.loc + normal.scale * noise
    return torch.tanh(before), (normal.log_prob(before) - torch.log(1 - torch.tanh(before) ** 2)).sum()


def lower(critic, x, action):
    return min(head(torch.cat([x, action]))[0] for head in critic.heads)


def noise_of(agent, loss, batch):
    """Noise for every sample, and what the loss makes of it."""
    uniforms = agent.randomness.uniform(UPDATE, len(batch.reward), 2).double()
    return normal(uniforms), loss(batch, uniforms)


def test_the_critics_loss_is_that_of_the_paper(soft):
    agent, batch = soft
    noise, loss = noise_of(agent, agent.critic_loss, batch)
    total = 0.0
    for i in range(60):
        action, log_prob = density(agent, batch.next_observation[i], noise[i])
        soft_value = lower(agent.target, batch.next_observation[i], action) - math.exp(-0.4) * log_prob
        target = (batch.reward[i] + batch.discount[i] * soft_value).detach()
        pair = torch.cat([batch.observation[i], batch.action[i]])
        total = total + sum(0.5 * (head(pair)[0] - target) ** 2 for head in agent.critic.heads) / 60
    same(loss, total, agent.critic)


def test_the_policys_loss_is_that_of_the_paper(soft):
    agent, batch = soft
    noise, (loss, log_prob) = noise_of(agent, agent.actor_loss, batch)
    total, found = 0.0, []
    for i in range(60):
        action, own = density(agent, batch.observation[i], noise[i])
        total = total + (math.exp(-0.4) * own - lower(agent.critic, batch.observation[i], action)) / 60
        found.append(own.item())
    assert log_prob.tolist() == pytest.approx(found, rel=1e-9)
    same(loss, total, agent.actor)


def test_the_temperature_rises_where_the_entropy_is_too_low(soft):
    """Haarnoja et al. (2018, algorithms and applications), by the logarithm of the temperature."""
    agent, _ = soft
    for log_prob, sign in ((5.0, -1), (-5.0, 1)):  # the wanted entropy is -2 nats: log-densities of 2
        loss = agent.temperature_loss(torch.full((4,), log_prob, dtype=torch.float64))
        (gradient,) = torch.autograd.grad(loss, agent.log_temperature)
        assert loss.item() == pytest.approx(-0.4 * -(log_prob - 2))
        assert gradient.item() == pytest.approx(-(log_prob - 2))
        assert math.copysign(1, gradient) == sign


def test_an_update_moves_each_part_by_its_own_loss_only(soft):
    agent, batch = soft
    before = {name: [p.clone() for p in agent.networks[name].parameters()] for name in ("actor", "critic", "target")}
    agent.update(batch)
    moved = lambda name: any(  # noqa: E731
        not torch.equal(old, new) for old, new in zip(before[name], agent.networks[name].parameters(), strict=True)
    )
    assert moved("actor")
    assert moved("critic")
    assert not moved("target")


@pytest.mark.parametrize(("rate", "every"), [(1.0, 3), (0.25, 1)])
def test_the_target_follows_by_copy_or_by_moving_average(rate, every, uneven, monkeypatch):
    env = uneven(4)
    config = DQNConfig(target_rate=rate, target_every=every, updates=3, warmup_steps=0, hidden=(4,), batch_size=8)
    agent = DQN(env.observation_space, env.action_space, config)
    expected, original, done = [p.detach().clone() for p in agent.target.parameters()], agent.update, []

    def update(batch):
        for mine, own in zip(expected, agent.target.parameters(), strict=True):
            torch.testing.assert_close(mine, own)
        losses = original(batch)
        done.append(losses)
        if len(done) % every == 0:
            for mine, new in zip(expected, agent.network.parameters(), strict=True):
                mine.copy_((1 - rate) * mine + rate * new.detach())
        return losses

    monkeypatch.setattr(agent, "update", update)
    list(agent.learn(env, 8))
    assert agent.updates == 6
    for mine, own in zip(expected, agent.target.parameters(), strict=True):
        torch.testing.assert_close(mine, own)
