"""Gradient rules of the recurrent cells; their backward ops' are derived by hand from the definitions."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor

from ._ops import several as _several


def register(rule: Any) -> None:
    """Registers the rules of `lstm_cell`, `gru_cell` and their backward ops."""
    rule.autocast("lower", "lstm_cell", "gru_cell")
    rule.joint(
        "lstm_cell",
        ("gates", "cx"),
        lambda g_hy, g_cy, gates, cx: _several.lstm_cell_backward(g_hy, g_cy, gates, cx),
    )
    rule.joint("lstm_cell_backward", ("grad_hy", "grad_cy", "gates", "cx"), _lstm_second)
    rule.joint(
        "gru_cell",
        ("gates_x", "gates_h", "hx"),
        lambda g, gates_x, gates_h, hx: _several.gru_cell_backward(g, gates_x, gates_h, hx),
    )
    rule.joint("gru_cell_backward", ("grad", "gates_x", "gates_h", "hx"), _gru_second)
    rule.batch("dims", "lstm_cell", "lstm_cell_backward", "gru_cell", "gru_cell_backward")


def _slope(s: Tensor) -> Tensor:
    """Of the logistic function where its value is s."""
    return s * (1 - s)


def _lstm_second(
    g_to_gates: Tensor, g_to_cx: Tensor, grad_hy: Tensor, grad_cy: Tensor, gates: Tensor, cx: Tensor
) -> tuple[Tensor, ...]:
    """Of the sum of grad_hy * d_hy + grad_cy * d_cy: d_ is how much what follows moves with (g_to_gates, g_to_cx)."""
    sums, moves = at.chunk(gates, 4, -1), at.chunk(g_to_gates, 4, -1)
    i, f, o = at.sigmoid(sums[0]), at.sigmoid(sums[1]), at.sigmoid(sums[3])
    g = at.tanh(sums[2])
    t = at.tanh(f * cx + i * g)
    slope_i, slope_f, slope_g, slope_o, slope_t = _slope(i), _slope(f), 1 - g * g, _slope(o), 1 - t * t
    d_i, d_f, d_g, d_o = slope_i * moves[0], slope_f * moves[1], slope_g * moves[2], slope_o * moves[3]
    d_cy = d_f * cx + f * g_to_cx + d_i * g + i * d_g
    d_hy = d_o * t + o * slope_t * d_cy
    through = grad_cy + grad_hy * o * slope_t
    to_cy = grad_hy * slope_t * (d_o - 2 * o * t * d_cy)
    to_gates = at.cat(
        [
            slope_i * (through * (moves[0] * (1 - 2 * i) * g + d_g) + to_cy * g),
            slope_f * (through * (moves[1] * (1 - 2 * f) * cx + g_to_cx) + to_cy * cx),
            slope_g * (through * (d_i - 2 * i * g * moves[2]) + to_cy * i),
            slope_o * grad_hy * (slope_t * d_cy + t * moves[3] * (1 - 2 * o)),
        ],
        -1,
    )
    return d_hy, d_cy, to_gates, through * d_f + to_cy * f


def _gru_second(
    g_to_gates_x: Tensor,
    g_to_gates_h: Tensor,
    g_to_hx: Tensor,
    grad: Tensor,
    gates_x: Tensor,
    gates_h: Tensor,
    hx: Tensor,
) -> tuple[Tensor, ...]:
    """Of the sum of grad * d_hy, where d_hy is how much hy moves with the three gradients that came in."""
    x, h = at.chunk(gates_x, 3, -1), at.chunk(gates_h, 3, -1)
    moves_x, moves_h = at.chunk(g_to_gates_x, 3, -1), at.chunk(g_to_gates_h, 3, -1)
    r, z = at.sigmoid(x[0] + h[0]), at.sigmoid(x[1] + h[1])
    n = at.tanh(x[2] + r * h[2])
    slope_r, slope_z, slope_n = _slope(r), _slope(z), 1 - n * n
    move_r, move_z = moves_x[0] + moves_h[0], moves_x[1] + moves_h[1]
    d_sum = h[2] * slope_r * move_r + moves_x[2] + r * moves_h[2]  # of what n is the tangent of
    d_hy = (1 - z) * slope_n * d_sum + (hx - n) * slope_z * move_z + z * g_to_hx
    to_sum = -grad * slope_n * (2 * (1 - z) * n * d_sum + slope_z * move_z)
    reset = grad * (1 - z) * slope_n * slope_r
    to_r = to_sum * h[2] * slope_r + reset * (h[2] * (1 - 2 * r) * move_r + moves_h[2])
    to_z = grad * slope_z * (g_to_hx - slope_n * d_sum + (hx - n) * (1 - 2 * z) * move_z)
    to_h = at.cat([to_r, to_z, to_sum * r + reset * move_r], -1)
    return d_hy, at.cat([to_r, to_z, to_sum], -1), to_h, grad * slope_z * move_z
