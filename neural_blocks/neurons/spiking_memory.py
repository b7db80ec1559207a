"""A layer of spiking neurons as the memory of an agent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from ..sequence.memory import CellMemory, State
from .spiking import LIF, SynapseFilter


class SpikingMemory(CellMemory):
    """Weights, leaky integrate-and-fire neurons, and synaptic filters that carry their spikes on (Bellec et al., 2018).

    The neurons are driven by the input and by the filtered spikes of the step before; the output is the filtered
    spikes. One step is a unit of time. Gradients pass a spike by a surrogate, see `LIF`. The memory is the filtered
    spikes, the voltage and the refractory time, (B, H) each.

    Args:
        input_size: features in.
        hidden_size: H, neurons, and features out.
        membrane: time constant of the voltage, in steps.
        synapse: of the filters.

    Raises:
        InvalidInput: a size below 1, or a time constant that is not above 0.
    """

    def __init__(self, input_size: int, hidden_size: int, membrane: float = 4.0, synapse: float = 4.0) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise InvalidInput(f"SpikingMemory: sizes must be at least 1; got {input_size} and {hidden_size}")
        self.input_size, self.output_size = input_size, hidden_size
        self.shapes = [(hidden_size,)] * 3
        self.drive = orthogonal(nn.Linear(input_size, hidden_size), 2.0)
        self.recurrent = orthogonal(nn.Linear(hidden_size, hidden_size, bias=False), 1.0)
        nn.init.constant_(self.drive.bias, 1.0)  # the threshold, so that neurons fire now and then from the start
        self.neurons = LIF(hidden_size, time_step=1.0, membrane=membrane, refractory=0.0)
        self.filter = SynapseFilter(hidden_size, time_step=1.0, tau=synapse)

    def initial_memory(self, batch: int) -> State:
        """Zeros."""
        return tuple(self.drive.weight.new_zeros(batch, *shape) for shape in self.shapes)

    def prepare(self, x: Tensor) -> Tensor:
        """The input's currents, (T, B, H)."""
        return self.drive(x)

    def cell(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """The input's currents (B, H) and the memory to filtered spikes (B, H) and memory."""
        filtered, *state = memory
        spikes, state_after = self.neurons.cell(x + self.recurrent(filtered), tuple(state))
        filtered = torch.lerp(filtered, spikes, self.filter.blend)
        return filtered, (filtered, *state_after)
