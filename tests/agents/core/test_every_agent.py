"""Every agent in every space it claims: a short run, reports under the same names, and exact resume."""

import math

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra import agents
from palaestra.agents.core.agent import Agent
from palaestra.envs import BatchedEnv, Game, Step, Trial, Versus, make_batched
from palaestra.envs.core.actions import action_dtype, action_shape
from palaestra.envs.core.tree import leaves
from palaestra.tests.agents.conftest import Act, value_of
from palaestra.tests.agents.core.test_resume import check_resume

OFFLINE = ("iql", "cql")  # which learn from recordings, and do not play
CORE = {"steps", "episodes", "return", "length"}
SPACES = {
    spaces.Box: spaces.Box(-1, 3, (2,)),
    spaces.Discrete: spaces.Discrete(3),
    spaces.MultiDiscrete: spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary: spaces.MultiBinary(2),
    spaces.Dict: spaces.Dict({"vector": spaces.Box(0, 1, (2,)), "number": spaces.Discrete(3)}),
}
ACTIONS = [kind for kind in SPACES if kind is not spaces.Dict]
FOR_TRIALS = {  # agents that know one family of environments
    "BernoulliBandit": ("epsilon_greedy", "gittins", "greedy", "thompson", "ucb1"),
    "TabularMDP": ("optimistic_planning", "posterior_sampling"),
    "FewShot": ("matching", "protonet"),
    "Evade": (
        "dual_ascent",
        "fgsm",
        "finite_differences",
        "grouped_differences",
        "pgd",
        "principal_differences",
        "transfer",
    ),
    "PatternCompletion": ("hopfield",),
}
HOME = {name: id for id, names in FOR_TRIALS.items() for name in names}
PICTURED = {  # where a generator plays with pictures of each kind of spaces
    (spaces.Box, spaces.Discrete): ("DigitBandit", {}),
    (spaces.Box, spaces.Box): ("GANGame", {"player": "generator", "dataset": "digits", "points": 3}),
    (spaces.Dict, spaces.Discrete): ("PixelCanvas", {"request": False, "order": "diagonal"}),
    (spaces.Dict, spaces.Box): ("Denoise", {}),
}
DRAWN = {
    (spaces.Box, spaces.Discrete): {"model": "vae", "block": {"latent_size": 2, "hidden": [8], "samples": 2}},
    (spaces.Box, spaces.Box): {"model": "gan", "block": {"latent_size": 2, "hidden": [8]}},
    (spaces.Dict, spaces.Discrete): {"block": {"channels": 4, "blocks": 1}, "order": "diagonal"},
    (spaces.Dict, spaces.Box): {"model": "diffusion", "block": {"width": 8, "blocks": 1}},
}
OPTIONS = {
    "BernoulliBandit": {"arms": 3, "episodes": 6},
    "TabularMDP": {},
    "FewShot": {"ways": 2, "shots": 1},
    "Evade": {},
    "PatternCompletion": {"side": 4},
}

ROLLOUT = {"rollout_steps": 4, "hidden": (4,)}
IMITATION = {**ROLLOUT, "updates": 2, "minibatch_size": 8}
EPOCHS = {**ROLLOUT, "minibatches": 2, "epochs": 2}
REPLAY = {**ROLLOUT, "warmup_steps": 16, "batch_size": 8}
FOREIGN = {"policy_kwargs": {"net_arch": [4]}}
FOREIGN_REPLAY = {**FOREIGN, "gradient_steps": 1, "batch_size": 8, "learning_starts": 16, "buffer_size": 100}
SMALL = {
    "a2c": ROLLOUT,
    "behaviour_cloning": IMITATION,
    "dagger": IMITATION,
    "dqn": REPLAY,
    "gail": {**EPOCHS, "demonstration_steps": 4, "discriminator_hidden": (4,), "discriminator_batch": 8},
    "iql": {"hidden": (4,), "updates": 2, "batch_size": 8, "demonstration_steps": 4},
    "cql": {"hidden": (4,), "updates": 2, "batch_size": 8, "demonstration_steps": 4, "sampled_actions": 2},
    "maml": {"support_steps": 2, "rollout_steps": 4, "hidden": (4,)},
    "matching": {"rollout_steps": 4, "embedding": 4},
    "ppo": EPOCHS,
    "protonet": {"rollout_steps": 4, "embedding": 4},
    "q_table": {"rollout_steps": 4},
    "reinforce": ROLLOUT,
    "rl2": {**EPOCHS, "memory_size": 4},
    "sac": REPLAY,
    "sb3:A2C": FOREIGN,
    "sb3:DDPG": FOREIGN_REPLAY,
    "sb3:DQN": FOREIGN_REPLAY,
    "sb3:PPO": {**FOREIGN, "n_steps": 4, "batch_size": 8, "n_epochs": 2},
    "sb3:SAC": FOREIGN_REPLAY,
    "sb3:TD3": FOREIGN_REPLAY,
    "value_table": {"rollout_steps": 4},
    "self_play": {**EPOCHS, "turn": 1, "pool": 2},
}
LEARNERS = [name for name in agents.names() if agents.agent_class(name).learn is not Agent.learn]
OTHERS = [name for name in agents.names() if name not in LEARNERS]


class Duel(Game):
    """Two players act on the same sign; each is paid by how much nearer to it than the other."""

    players, horizon, reset_noise = ("one", "other"), 1, 1

    def __init__(self, action_space, observation_space):
        super().__init__()
        self.task = Act(action_space, observation_space)
        self.action_space = spaces.Dict(dict.fromkeys(self.players, action_space))
        self.observation_space = spaces.Dict(dict.fromkeys(self.players, observation_space))

    def reset(self, noise):
        return self.task.reset(noise)

    def step(self, state, action, noise):
        one, other = (self.task.step(state, action[player], noise) for player in self.players)
        gap = one.reward - other.reward
        return Step(state, {"one": gap, "other": -gap}, one.terminated)

    def observe(self, state):
        return dict.fromkeys(self.players, self.task.observe(state))

    def draw(self, state, canvas): ...


def make_env(name, seen, acted):
    """Four environments of these kinds of observation and action space that suit the agent."""
    if name == "generator":
        id, options = PICTURED[seen, acted]
        return make_batched(f"palaestra/{id}-v0", 4, **options)
    if name in HOME:
        return make_batched(f"palaestra/{HOME[name]}-v0", 4, **OPTIONS[HOME[name]])
    if name == "maml" and seen is spaces.Box:
        return make_batched("palaestra/Sinusoid-v0", 4, points=4, episodes=1)
    if name in ("maml", "rl2"):
        return BatchedEnv(Trial(Act(SPACES[acted]), episodes=4), 4)
    if name == "self_play":
        lowest = lambda observation: value_of(SPACES[acted], torch.zeros(len(leaves(observation)[0])))  # noqa: E731
        return BatchedEnv(Versus(Duel(SPACES[acted], SPACES[seen]), "one", {"other": lowest}), 4)
    return BatchedEnv(Act(SPACES[acted], SPACES[seen]), 4)


def settings(name, seen, acted=spaces.Box):
    """What makes a run short, and MAML learn from rewards where no answers are shown."""
    if name == "generator":
        return {"rollout_steps": 4, "updates": 1, "minibatch_size": 8, **DRAWN[seen, acted]}
    shown = seen is spaces.Box or name != "maml"
    return SMALL.get(name, {}) | ({} if shown else {"inner_loss": "policy_gradient"})


def claims(name):
    """The pairs of kinds of observation and action space that an agent says it serves."""
    cls = agents.agent_class(name)
    for seen in SPACES:
        for acted in ACTIONS:
            if not (issubclass(seen, cls.observation_spaces) and issubclass(acted, cls.action_spaces)):
                continue
            if name == "maml" and seen is spaces.Box and acted is not spaces.Box:
                continue  # answers to learn from are then in a Dict
            yield seen, acted


@pytest.fixture(autouse=True)
def _frequent_reports(monkeypatch):
    monkeypatch.setattr("palaestra.agents.baselines3.agent.REPORT_STEPS", 24)


@pytest.mark.parametrize(("name", "seen", "acted"), [(name, *pair) for name in agents.names() for pair in claims(name)])
def test_a_short_run_in_every_space_that_is_claimed(name, seen, acted):
    env = make_env(name, seen, acted)
    assert (type(env.observation_space), type(env.action_space)) == (seen, acted)
    agent = agents.make(name, env, **settings(name, seen, acted))
    reports = list(agent.learn(env, 256 if name == "generator" and acted is not spaces.Box else 64))
    assert (name in LEARNERS) == bool(reports)
    if reports:
        assert agent.steps == reports[-1]["steps"] >= 64
        named = set().union(*reports)
        assert named >= ({"steps"} if name in OFFLINE else CORE)
        assert any(one.endswith(("loss", "error")) for one in named)
        assert all(math.isfinite(value) for report in reports for value in report.values())
    observation = env.reset(3)
    for greedy in (True, False):
        action, _ = agent.act(observation, agent.initial_memory(4), env.episode_start, greedy=greedy)
        assert (action.shape, action.dtype) == ((4, *action_shape(env.action_space)), action_dtype(env.action_space))
    assert agents.evaluate(agent, env, 4, seed=9).returns.isfinite().all()


@pytest.mark.parametrize("name", LEARNERS)
def test_a_resumed_run_equals_the_run_that_was_not_stopped(name):
    seen, acted = list(claims(name))[-1]
    check_resume(name, lambda: make_env(name, seen, acted), 100, **settings(name, seen, acted))


@pytest.mark.parametrize("name", OTHERS)
def test_an_agent_that_does_not_learn_goes_on_from_its_file(name):
    env = make_env(name, *next(claims(name)))
    agent = agents.make(name, env, seed=4)
    observation, start = env.reset(), env.episode_start
    _, memory = agent.act(observation, agent.initial_memory(4), start)
    agent.save("folder/agent.pt")
    again = type(agent).load("folder/agent.pt", env.observation_space, env.action_space)
    again.attach(env)
    (action, after), (expected, wanted) = (one.act(observation, memory, ~start) for one in (again, agent))
    assert torch.equal(action, expected)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(after, wanted, strict=True))
