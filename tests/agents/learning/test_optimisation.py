"""The settings of learning against PyTorch's optimisers, schedules and averages; and every one of them in agents."""

from itertools import islice

import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.agents.learning.averaging import Averaged
from palaestra.agents.learning.execution import program_by
from palaestra.agents.learning.learner import Learner
from palaestra.agents.learning.optimisation import OptimisationConfig
from palaestra.agents.learning.optimisers import (
    make_optimiser,
    prepare_gradients,
    restore,
    scale_down,
    set_rate,
    step,
    step_where,
    tensor_rates,
    tensors,
)
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

TORCH = {
    "adam": lambda own, decay: torch.optim.Adam(own, 0.1, eps=1e-6, weight_decay=decay),
    "adamw": lambda own, decay: torch.optim.AdamW(own, 0.1, eps=1e-6, weight_decay=decay),
    "sgd": lambda own, decay: torch.optim.SGD(own, 0.1, weight_decay=decay),
    "momentum": lambda own, decay: torch.optim.SGD(own, 0.1, 0.8, weight_decay=decay),
    "nesterov": lambda own, decay: torch.optim.SGD(own, 0.1, 0.8, weight_decay=decay, nesterov=True),
    "adagrad": lambda own, decay: torch.optim.Adagrad(own, 0.1, eps=1e-6, weight_decay=decay),
    "rmsprop": lambda own, decay: torch.optim.RMSprop(own, 0.1, 0.99, eps=1e-6, weight_decay=decay),
}
START = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.0, -0.7]])


def slope(weight):
    """The gradient of an ill-conditioned bowl."""
    return weight.detach() * torch.tensor([10.0, 1.0, 0.1]) - 0.2


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", TORCH)
def test_each_step_is_that_of_the_optimiser_of_its_name_also_after_a_restart(name, decay):
    own, reference = nn.Parameter(START.clone()), nn.Parameter(START.clone())
    config = OptimisationConfig(optimiser=name, learning_rate=0.1, momentum=0.8, optimiser_eps=1e-6, weight_decay=decay)
    optimiser, torchs = make_optimiser([own], config), TORCH[name]([reference], decay)
    for time in range(12):
        if time == 6:
            saved, optimiser = optimiser.state_dict(), make_optimiser([own], config)
            restore(optimiser, saved)
        own.grad, reference.grad = slope(own), slope(reference)
        optimiser.step()
        torchs.step()
        torch.testing.assert_close(own, reference)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", TORCH)
def test_a_program_of_loss_gradient_and_step_follows_the_optimiser_of_its_name(name, decay):
    own, reference = nn.Parameter(START.clone()), nn.Parameter(START.clone())
    config = OptimisationConfig(optimiser=name, learning_rate=0.1, momentum=0.8, optimiser_eps=1e-6, weight_decay=decay)
    optimiser, torchs = make_optimiser([own], config), TORCH[name]([reference], decay)
    tensor_rates(optimiser)

    def descend(target):
        loss = ((own - target) ** 2 * torch.tensor([10.0, 1.0, 0.1])).sum()
        (own.grad,) = torch.autograd.grad(loss, [own])
        step(optimiser)
        return loss

    run = program_by("descend", "aot_eager", lambda: [own, *tensors(optimiser)])(descend)
    for place in range(8):
        target = torch.full((2, 3), 0.1 * place)
        set_rate(optimiser, 0.1 / (1 + place))  # a number in the program would be the first rate for ever
        set_rate(torchs, 0.1 / (1 + place))
        loss = ((reference - target) ** 2 * torch.tensor([10.0, 1.0, 0.1])).sum()
        (reference.grad,) = torch.autograd.grad(loss, [reference])
        torchs.step()
        torch.testing.assert_close(run(target), loss.detach())
        torch.testing.assert_close(own, reference)


def test_weights_that_are_free_do_not_decay():
    own, free = nn.Parameter(START.clone()), nn.Parameter(START.clone())
    config = OptimisationConfig(optimiser="sgd", learning_rate=0.1, weight_decay=0.5, l1=0.25)
    optimiser = make_optimiser([own, free], config, [free])
    for one in (own, free):
        one.grad = torch.zeros_like(one)
    prepare_gradients([own, free], config, [free])
    optimiser.step()
    assert torch.equal(free, START)
    torch.testing.assert_close(own.detach(), START - 0.1 * (0.5 * START + 0.25 * START.sign()))


def test_gradients_are_cut_and_scaled_as_torch_does():
    own, reference = nn.Parameter(START.clone()), nn.Parameter(START.clone())
    own.grad, reference.grad = slope(own), slope(reference)
    config = OptimisationConfig(max_grad_value=1.5, max_grad_norm=0.5)
    prepare_gradients([own], config)
    norm = scale_down([own], config)
    nn.utils.clip_grad_value_([reference], 1.5)
    assert torch.equal(norm, nn.utils.clip_grad_norm_([reference], 0.5))
    assert torch.equal(own.grad, reference.grad)
    assert torch.equal(scale_down([own], OptimisationConfig()), own.grad.norm())


@pytest.mark.parametrize("name", TORCH)
def test_a_step_that_is_not_taken_changes_nothing(name):
    own = nn.Parameter(START.clone())
    optimiser = make_optimiser([own], OptimisationConfig(optimiser=name))
    own.grad = slope(own)
    optimiser.step()
    before, weights = str(optimiser.state_dict()), own.detach().clone()
    step_where(torch.tensor(False), optimiser)
    assert torch.equal(own, weights)
    assert str(optimiser.state_dict()) == before
    step_where(torch.tensor(True), optimiser)
    assert not torch.equal(own, weights)


STEPS, WARM = 40, 10


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({"schedule": "linear"}, lambda o, n: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, n)),
        ({"anneal": True}, lambda o, n: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, n)),
        ({"schedule": "cosine"}, lambda o, n: torch.optim.lr_scheduler.CosineAnnealingLR(o, n)),
        (
            {"schedule": "step", "step_share": 0.2, "step_factor": 0.5},
            lambda o, n: torch.optim.lr_scheduler.StepLR(o, n // 5, 0.5),
        ),
        ({}, lambda o, n: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
@pytest.mark.parametrize("warm", [0, WARM])
def test_each_rate_is_that_of_the_schedule_of_its_name(settings, after, warm):
    config = OptimisationConfig(learning_rate=0.2, warm_up=warm / STEPS, **settings)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.2)
    schedule = after(optimiser, STEPS - warm)
    if warm:
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.2)
        rise = torch.optim.lr_scheduler.LinearLR(optimiser, 0.01, 1.0, warm)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [rise, after(optimiser, STEPS - warm)], [warm])
    rates = []
    for _ in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert [config.rate(step / STEPS) for step in range(STEPS)] == pytest.approx(rates, abs=1e-12)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averages_are_those_of_torch_from_where_they_begin(kind):
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    how = torch.optim.swa_utils
    average = how.get_ema_avg_fn(0.9) if kind == "ema" else how.get_swa_avg_fn()
    reference = how.AveragedModel(network, avg_fn=average)
    own = Averaged([network], OptimisationConfig(averaging=kind, average_decay=0.9))
    for time in range(9):
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(torch.randn_like(weight))
        own.begun.fill_(float(time >= 4))
        own.update()
        if time >= 4:
            reference.update_parameters(network)
        else:
            torch.testing.assert_close(list(own.weights), list(network.parameters()))
    expected, last = list(reference.module.parameters()), [one.clone() for one in network.parameters()]
    with own.acting():
        torch.testing.assert_close(list(network.parameters()), expected)
    assert all(map(torch.equal, network.parameters(), last))


BATCHES = {
    "ppo": {"rollout_steps": 4, "minibatches": 2, "epochs": 2},
    "a2c": {"rollout_steps": 4},
    "reinforce": {"rollout_steps": 8},
    "dqn": {"rollout_steps": 4, "warmup_steps": 8, "batch_size": 8},
}
SETTINGS = {
    "hidden": (4,),
    "activation": "leaky_relu",
    "initialisation": "xavier",
    "normalisation": "batch",
    "dropout": 0.2,
    "schedule": "cosine",
    "warm_up": 0.1,
    "weight_decay": 0.01,
    "l1": 1e-3,
    "max_grad_value": 1.0,
    "averaging": "ema",
    "average_decay": 0.8,
    "average_from": 0.1,
}


@pytest.mark.parametrize(("name", "optimiser"), [*zip(BATCHES, ("adamw", "nesterov", "adagrad", "sgd"), strict=True)])
def test_a_run_with_every_setting_that_was_stopped_equals_the_one_that_was_not(name, optimiser, uneven):
    agent = check_resume(name, lambda: uneven(4), 128, optimiser=optimiser, anneal=False, **SETTINGS, **BATCHES[name])
    assert agent.averaged.count > 1


@pytest.mark.parametrize(
    ("name", "execution", "optimiser", "normalisation"),
    [
        ("a2c", "compiled", "sgd", "layer"),
        ("ppo", "captured", "adamw", "batch"),
        ("dqn", "captured", "nesterov", "batch"),
        ("a2c", "captured", "adagrad", "group"),
    ],
)
def test_every_setting_is_the_same_in_every_way_of_running(
    name, execution, optimiser, normalisation, uneven, monkeypatch
):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    monkeypatch.setattr(Learner, "recorder", Tape)
    learned = []
    for way in ("eager", execution):
        env = uneven(4)
        agent = agents.make(
            name, env, seed=3, execution="compiled" if way == "compiled" else "eager", optimiser=optimiser,
            **SETTINGS | BATCHES[name] | {"normalisation": normalisation, "l1": 1e-3 * (execution != "compiled")},
        )  # fmt: skip
        for group in (agent.optimiser if name != "dqn" else agent.optimisers["network"]).param_groups:
            group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)  # as on CUDA, where a graph reads it anew
        if way == "captured":
            captured(agent)
        learned.append((list(islice(agent.learn(env, 160), 4)), agent.state_dict()))
    close(learned[1], learned[0])


def test_the_average_is_acted_with_and_the_last_weights_are_learned(uneven):
    env = uneven(4)
    agent = agents.make("ppo", env, averaging="swa", learning_rate=0.05, hidden=(4,), **BATCHES["ppo"])
    last = []
    for _ in agent.learn(env, 160):
        last.append([one.detach().clone() for one in agent.network.parameters()])
    observation = env.observation
    seen = []
    hook = agent.network.register_forward_hook(lambda *_: seen.append(next(agent.network.parameters()).clone()))
    agent.act(observation, greedy=True)
    hook.remove()
    assert not torch.equal(agent.averaged.weights[0], last[-1][0])
    assert torch.equal(seen[0], agent.averaged.weights[0])
    assert all(map(torch.equal, agent.network.parameters(), last[-1]))
    agent.save("agent.pt")
    again = agents.agent_class("ppo").load("agent.pt", env.observation_space, env.action_space)
    assert torch.equal(again.averaged.weights[0], agent.averaged.weights[0])
    assert read_checkpoint("agent.pt")["config"]["averaging"] == "swa"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("optimiser", "adamm", "optimiser must be one of .*did you mean 'adam'"),
        ("schedule", "cosin", "schedule must be one of .*did you mean 'cosine'"),
        ("normalisation", "bach", "normalisation must be one of .*did you mean 'batch'"),
        ("initialisation", "xavir", "initialisation must be one of .*did you mean 'xavier'"),
        ("activation", "treshold", "activation must be one of .*did you mean 'threshold'"),
        ("dropout", 1.0, "dropout should be less than 1; got 1.0"),
        ("weight_decay", -1, "weight_decay should be greater than or equal to 0; got -1"),
        ("warm_up", 1, "warm_up should be less than 1; got 1"),
        ("averaging", "emma", "averaging must be one of 'ema', 'swa'.*did you mean 'ema'"),
        ("max_grad_value", 0, "max_grad_value should be greater than 0"),
    ],
)
@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_bad_values_are_refused_in_one_line(agent, name, value, told):
    with pytest.raises(InvalidInput, match=told) as error:
        agents.agent_class(agent).Config(**{name: value})
    assert "\n" not in str(error.value)


def test_two_schedules_are_refused():
    with pytest.raises(InvalidInput, match="anneal must be false with the schedule 'cosine'"):
        OptimisationConfig(anneal=True, schedule="cosine")
