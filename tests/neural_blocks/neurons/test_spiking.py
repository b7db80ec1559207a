"""Spiking neurons against SciPy: filters, rates, and the squid axon."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.signal import lfilter

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.neurons.spiking import LIF, Axon, SynapseFilter, hodgkin_huxley, lif_rate, settled_axon


def spike_counts(layer, current, seconds):
    x = current.expand(round(seconds / layer.time_step), 1, -1)
    return layer(x, layer.initial_memory(1))[0].sum(0)[0]


def test_the_rate_follows_the_tuning_curve_at_any_time_step():
    current = torch.tensor([0.5, 0.99, 1.0, 1.01, 1.2, 2.0, 5.0, 20.0])
    for time_step in (2e-4, 1e-3, 2e-3):
        layer = LIF(8, time_step=time_step)
        counted = spike_counts(layer, current, 2.0) / 2
        torch.testing.assert_close(counted, lif_rate(current), atol=0.5, rtol=0.001)


@pytest.mark.parametrize(("membrane", "refractory"), [(0.01, 0.004), (0.05, 0.0), (0.02, 0.0005)])
def test_the_rate_follows_the_tuning_curve_for_other_constants(membrane, refractory):
    current = torch.tensor([1.5, 3.0])
    layer = LIF(2, membrane=membrane, refractory=refractory, time_step=1e-3)
    torch.testing.assert_close(
        spike_counts(layer, current, 2.0) / 2, lif_rate(current, membrane, refractory), atol=0.5, rtol=0.001
    )


def test_the_voltage_below_threshold_is_the_exact_exponential():
    layer, current = LIF(1, time_step=1e-3), 0.9
    memory = layer.initial_memory(1)
    for step in range(1, 41):
        spikes, memory = layer.step(torch.full((1, 1), current), memory)
        wanted = current * (1 - np.exp(-step * 1e-3 / 20e-3))
        assert memory[0].item() == pytest.approx(wanted, rel=1e-5)
        assert spikes.item() == 0


def test_no_spike_falls_into_the_refractory_period():
    layer = LIF(1, time_step=1e-3, refractory=10e-3)
    spikes, _ = layer(torch.full((200, 1, 1), 50.0), layer.initial_memory(1))
    gaps = spikes[:, 0, 0].nonzero()[:, 0].diff()
    assert gaps.min() >= 10
    assert gaps.max() <= 11


def test_the_gradient_of_a_spike_is_the_fast_sigmoids():
    layer, current = LIF(3, slope=4.0), torch.tensor([[30.0, 10.0, 0.5]], requires_grad=True)
    spikes, _ = layer.step(current, layer.initial_memory(1))
    spikes.sum().backward()
    gain = 1 - np.exp(-1e-3 / 20e-3)
    voltage = current.detach().numpy() * gain
    np.testing.assert_allclose(current.grad.numpy(), gain / (1 + 4 * abs(voltage - 1)) ** 2, rtol=1e-4)
    assert set(spikes.flatten().tolist()) == {0.0, 1.0}


def test_gradients_reach_the_first_current_and_are_finite():
    layer = LIF(4)
    current = torch.full((60, 2, 4), 1.0, requires_grad=True)  # the threshold itself
    spikes, memory = layer(current * torch.tensor([0.5, 1.0, 2.0, 50.0]), layer.initial_memory(2))
    (spikes.sum() + memory[0].sum()).backward()
    assert current.grad.isfinite().all()
    assert (current.grad[0] != 0).any()


@pytest.mark.parametrize("tau", [2e-3, 20e-3])
def test_filters_are_scipys_first_order_filter_applied_order_times(tau):
    signal = torch.rand(50, 2, 3, generator=torch.Generator().manual_seed(0))
    decay, wanted = np.exp(-1e-3 / tau), signal.numpy()
    for order in (1, 2):
        wanted = lfilter([1 - decay], [1, -decay], wanted, axis=0)
        synapse = SynapseFilter(3, tau=tau, order=order)
        filtered, memory = synapse(signal, synapse.initial_memory(2))
        np.testing.assert_allclose(filtered.numpy(), wanted, atol=1e-5)
        torch.testing.assert_close(memory[-1], filtered[-1])


def test_the_impulse_response_is_the_alpha_function():
    synapse = SynapseFilter(1, time_step=1e-5, tau=5e-3, order=2)
    spike = torch.zeros(3000, 1, 1)
    spike[0] = 1e5  # area 1
    response, _ = synapse(spike, synapse.initial_memory(1))
    time = 1e-5 * torch.arange(1, 3001)
    torch.testing.assert_close(response[:, 0, 0], time / 5e-3**2 * torch.exp(-time / 5e-3), atol=0.3, rtol=0.01)


@pytest.mark.parametrize("layer", [LIF(3, time_step=2e-3), SynapseFilter(3), SynapseFilter(3, order=2)])
def test_step_and_sequence_agree_across_episode_starts(layer):
    x = 4 * torch.rand(30, 2, 3, generator=torch.Generator().manual_seed(1))
    start = torch.zeros(30, 2, dtype=torch.bool)
    start[7, 0] = start[15] = True
    whole, after = layer(x, layer.initial_memory(2), start)
    memory = layer.initial_memory(2)
    for time in range(30):
        output, memory = layer.step(x[time], memory, start[time])
        torch.testing.assert_close(output, whole[time], atol=1e-5, rtol=0)
    for stepped, sequenced in zip(memory, after, strict=True):
        torch.testing.assert_close(stepped, sequenced, atol=1e-5, rtol=0)
    torch.testing.assert_close(layer(x[15:], layer.initial_memory(2))[0], whole[15:])


@pytest.mark.parametrize("layer", [LIF(3), SynapseFilter(3, order=2)])
def test_layers_compile_and_run_in_bfloat16(layer):
    x = 20 * torch.rand(12, 2, 3, generator=torch.Generator().manual_seed(1))
    memory = layer.initial_memory(2)
    torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x, memory)[0], layer(x, memory)[0])
    assert layer.state_dict() == {}  # fixed constants: nothing to save
    layer = layer.bfloat16()
    output, memory = layer(x.bfloat16(), layer.initial_memory(2))
    assert {output.dtype, *(part.dtype for part in memory)} == {torch.bfloat16}


def squid_axon(_, state, current):
    """Written from the tables of Dayan and Abbott (2001), chapter 5."""
    v, m, h, n = state
    alpha_n, beta_n = 0.01 * (v + 55) / (1 - np.exp(-0.1 * (v + 55))), 0.125 * np.exp(-0.0125 * (v + 65))
    alpha_m, beta_m = 0.1 * (v + 40) / (1 - np.exp(-0.1 * (v + 40))), 4 * np.exp(-(v + 65) / 18)
    alpha_h, beta_h = 0.07 * np.exp(-0.05 * (v + 65)), 1 / (1 + np.exp(-0.1 * (v + 35)))
    ionic = 0.3 * (v + 54.387) + 36 * n**4 * (v + 77) + 120 * m**3 * h * (v - 50)
    gates = [(alpha_m, beta_m, m), (alpha_h, beta_h, h), (alpha_n, beta_n, n)]
    return [current - ionic, *(a * (1 - x) - b * x for a, b, x in gates)]


def test_the_derivative_is_the_textbooks():
    generator = np.random.default_rng(0)
    state = np.vstack([generator.uniform(-90, 50, 64), generator.random((3, 64))])
    current = generator.uniform(-5, 20, 64)
    ours = hodgkin_huxley(Axon(*torch.tensor(state)), torch.tensor(current))
    np.testing.assert_allclose(torch.stack(ours).numpy(), squid_axon(0, state, current), rtol=1e-6)


def test_the_removable_singularities_are_removed():
    voltage = torch.tensor([-40.0, -55.0], dtype=torch.float64, requires_grad=True)
    at = torch.stack(settled_axon(voltage))
    near = torch.stack(settled_axon(voltage.detach() + 1e-5))
    torch.testing.assert_close(at.detach(), near, atol=1e-4, rtol=1e-5)
    assert torch.autograd.grad(at[1:].sum(), voltage)[0].isfinite().all()


def test_the_axon_rests_at_minus_65_with_the_textbook_gates():
    rest = settled_axon(torch.full((1,), -65.0))
    derivative = torch.stack(hodgkin_huxley(rest, torch.zeros(1)))
    torch.testing.assert_close(derivative, torch.zeros(4, 1), atol=0.01, rtol=0)
    torch.testing.assert_close(torch.cat(rest[1:]), torch.tensor([0.0529, 0.5961, 0.3177]), atol=1e-4, rtol=0)


def spikes_of(voltage):
    return int(((voltage[:-1] < 0) & (voltage[1:] >= 0)).sum())


def test_integrated_axons_spike_when_scipys_does():
    """Runge-Kutta over our derivative, a batch of currents, against an adaptive solver over the textbook's."""
    currents, time_step = torch.tensor([0.0, 5.0, 10.0, 20.0], dtype=torch.float64), 0.02
    axon = settled_axon(torch.full((4,), -65.0, dtype=torch.float64))
    trace = [axon.voltage]

    def moved(axon, slope, share):
        return Axon(*(x + share * time_step * d for x, d in zip(axon, slope, strict=True)))

    for _ in range(5000):  # 100 ms
        k1 = hodgkin_huxley(axon, currents)
        k2 = hodgkin_huxley(moved(axon, k1, 0.5), currents)
        k3 = hodgkin_huxley(moved(axon, k2, 0.5), currents)
        k4 = hodgkin_huxley(moved(axon, k3, 1.0), currents)
        for slope, share in ((k1, 1 / 6), (k2, 1 / 3), (k3, 1 / 3), (k4, 1 / 6)):
            axon = moved(axon, slope, share)
        trace.append(axon.voltage)
    trace = torch.stack(trace).numpy()
    times = time_step * np.arange(5001)
    for column, current in enumerate(currents.tolist()):
        start = [-65.0, *(gate[0].item() for gate in settled_axon(torch.full((1,), -65.0, dtype=torch.float64))[1:])]
        peer = solve_ivp(squid_axon, (0, 100), start, "LSODA", times, args=(current,), rtol=1e-8, atol=1e-8).y[0]
        assert spikes_of(trace[:, column]) == spikes_of(peer)
        np.testing.assert_allclose(trace[:, column], peer, atol=0.1)
    assert [spikes_of(trace[:, column]) for column in (0, 2)] == [0, 7]  # silent; about 68 Hz at 10 uA / cm^2


def test_the_axon_compiles_and_runs_in_bfloat16():
    axon, current = settled_axon(torch.linspace(-70, 20, 7)), torch.ones(7)
    compiled = torch.compile(hodgkin_huxley, backend="eager", fullgraph=True)
    torch.testing.assert_close(tuple(compiled(axon, current)), tuple(hodgkin_huxley(axon, current)))
    half = hodgkin_huxley(Axon(*(part.bfloat16() for part in axon)), current.bfloat16())
    assert half.voltage.dtype == torch.bfloat16
    curve = torch.compile(lif_rate, backend="eager", fullgraph=True)
    torch.testing.assert_close(curve(current * 2), lif_rate(current * 2))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: LIF(0), ["1", "0"]),
        (lambda: LIF(2, time_step=0.0), ["0.0"]),
        (lambda: LIF(2)(torch.ones(4, 3, 5), LIF(2).initial_memory(3)), ["2", "(4, 3, 5)"]),
        (lambda: LIF(2)(torch.ones(4, 3, 2), LIF(2).initial_memory(4)), ["(3, 2)", "(4, 2)"]),
        (lambda: LIF(2)(torch.ones(4, 3, 2), LIF(2).initial_memory(3), torch.ones(3, 4) > 0), ["(4, 3)", "(3, 4)"]),
        (lambda: SynapseFilter(2, tau=-1.0), ["-1.0"]),
        (lambda: SynapseFilter(2, order=0), ["1", "0"]),
        (lambda: hodgkin_huxley(settled_axon(torch.zeros(3)), torch.zeros(2)), ["(3,)", "(2,)"]),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(InvalidInput) as refusal:
        call()
    assert all(part in str(refusal.value) for part in named)
