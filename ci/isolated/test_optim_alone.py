"""atled-optim with core alone: it steps tensors whose gradients come from anywhere."""

import numpy as np

import atled.core as at
from atled import optim


def test_a_step_on_tensors_that_nothing_differentiated() -> None:
    weight = at.tensor([1.0, 2.0])
    weight.grad = at.tensor([0.5, -0.5])
    optim.SGD([weight], lr=0.1).step()
    np.testing.assert_allclose(weight.numpy(), [0.95, 2.05], rtol=1e-6)
