"""atled-optim with core alone: it steps tensors whose gradients come from anywhere."""

import numpy as np
import pytest

import atled.core as at
from atled import optim


def test_a_step_on_tensors_that_nothing_differentiated() -> None:
    weight = at.tensor([1.0, 2.0])
    optim.SGD([weight], lr=0.1).step(grads=[at.tensor([0.5, -0.5])])
    np.testing.assert_allclose(weight.numpy(), [0.95, 2.05], rtol=1e-6)


def test_gradients_that_nobody_gave_name_the_wheel_that_makes_them() -> None:
    with pytest.raises(AttributeError, match="pip install atled-autograd"):
        optim.SGD([at.tensor([1.0])], lr=0.1).step()
