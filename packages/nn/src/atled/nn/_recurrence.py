"""What recurrent layers and cells do in a step, and over the steps of sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import atled.core as at
from atled.core import Tensor

from ._ops import one as _one
from ._ops import several as _several

State = tuple[Tensor, ...]  # the hidden state, and an LSTM's cell; each (N, H)
Step = Callable[[Tensor, State], State]

#: How many gates a mode has.
GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class Weights(NamedTuple):
    """Of one layer in one direction, named as the layers' parameters are."""

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    hr: Tensor | None = None


def gates_of(mode: str, input: Tensor, weights: Weights) -> Tensor:
    """What the inputs of any number of steps add to the gates, in one product."""
    bias = weights.bias_ih
    # A GRU's hidden bias is multiplied by a gate, so it stays with the hidden state.
    if bias is not None and weights.bias_hh is not None and mode != "GRU":
        bias = bias + weights.bias_hh
    return _one.linear(input, weights.ih, bias)


def step_of(mode: str, weights: Weights) -> Step:
    """The function from a step's gates and the state before it to the state behind it."""
    if mode == "GRU":

        def gru(gates: Tensor, state: State) -> State:
            (hidden,) = state
            return (_one.gru_cell(gates, _one.linear(hidden, weights.hh, weights.bias_hh), hidden),)

        return gru
    transposed = weights.hh.t()
    if mode == "LSTM":

        def lstm(gates: Tensor, state: State) -> State:
            hidden, cell = _several.lstm_cell(at.addmm(gates, state[0], transposed), state[1])
            return hidden if weights.hr is None else _one.linear(hidden, weights.hr), cell

        return lstm
    activation = at.tanh if mode == "RNN_TANH" else at.relu

    def rnn(gates: Tensor, state: State) -> State:
        return (activation(at.addmm(gates, state[0], transposed)),)

    return rnn


def over_steps(step: Step, gates: Sequence[Tensor], state: State, reverse: bool) -> tuple[list[Tensor], State]:
    """All steps' hidden states, in the order of the steps, and the last state.

    gates: (N, gates * H) for each step. N may become less from step to step, where sequences end: their states are
    the last ones then; in reverse, sequences join with their first state.
    """
    if reverse:
        return _backwards(step, gates, state)
    outputs, ended = [], []
    for each in gates:
        size, before = each.shape[0], state[0].shape[0]
        if size < before:
            ended.append(tuple(part[size:] for part in state))
            state = tuple(part[:size] for part in state)
        state = step(each, state)
        outputs.append(state[0])
    if ended:
        state = tuple(at.cat(parts) for parts in zip(state, *reversed(ended), strict=True))
    return outputs, state


def _backwards(step: Step, gates: Sequence[Tensor], first: State) -> tuple[list[Tensor], State]:
    outputs = []
    present = gates[-1].shape[0]
    state = first if present == first[0].shape[0] else tuple(part[:present] for part in first)
    for each in reversed(gates):
        size = each.shape[0]
        if size > present:
            state = tuple(at.cat([part, new[present:size]]) for part, new in zip(state, first, strict=True))
            present = size
        state = step(each, state)
        outputs.append(state[0])
    return outputs[::-1], state
