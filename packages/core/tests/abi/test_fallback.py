"""A device without kernels: the error, and running its ops on the CPU when asked to."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import atled.core as at

SCRIPT = """
import sys
import atled.core as at
from atled.core import _core
_core.load_plugin(sys.argv[1])
x = at.tensor([[1.0, 2.0], [3.0, 4.0]], device="cpu").to("toy")
try:
    x.exp()
except at.NotImplementedOpError as error:
    print(error)
at.fallback_to_cpu("toy")
y = x.exp()
assert str(y.device).startswith("toy"), y.device
assert at.allclose(y.to("cpu"), at.tensor([[1.0, 2.0], [3.0, 4.0]]).exp())
x.add_(x)
assert x.to("cpu").tolist() == [[2.0, 4.0], [6.0, 8.0]]
x[:, 0].mul_(10)
assert x.to("cpu").tolist() == [[20.0, 4.0], [60.0, 8.0]]
out = at.empty((2,), device="toy")
at.sum(x, 0, out=out)
assert out.to("cpu").tolist() == [80.0, 12.0]
values, indices = at.sort(x.reshape(-1), descending=True)
assert str(values.device).startswith("toy") and indices.to("cpu").tolist() == [2, 0, 3, 1]
assert [str(part.device)[:3] for part in at.nonzero(x, as_tuple=True)] == ["toy", "toy"]
assert at.cat([x, x]).to("cpu").shape == (4, 2)
assert at.ones((3,), device="toy").to("cpu").tolist() == [1.0, 1.0, 1.0]
x.index_fill_(0, at.tensor([1]).to("toy"), 5)
assert x.to("cpu").tolist() == [[20.0, 4.0], [5.0, 5.0]]
at.fallback_to_cpu("toy", False)
try:
    x.exp()
except at.NotImplementedOpError:
    print("off again")
"""


def test_a_missing_kernel_and_the_fallback(compile_plugin: Callable[..., Path]) -> None:
    plugin = compile_plugin("toy_device.cpp", "-DTOY_WITHOUT_KERNELS")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(plugin)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    error, off = done.stdout.splitlines()
    assert error == (
        'exp: expected a kernel for device toy:0, but there is none; move the arguments, for example to "cpu", or '
        'have all such ops run there, by copies: fallback_to_cpu("toy")'
    )
    assert off == "off again"


BETTER = """
import sys
import atled.core as at
from atled.core import _core, _registry
_core.load_plugin(sys.argv[1])
op = _core.define_op("mine::op(Tensor input) -> Tensor")
_core.add_kernel(op, "any", lambda x: at.zeros((2,)))
asked = []
def load_kernels(device, namespace):
    asked.append((device, namespace))
    if namespace == "mine":
        _core.add_kernel(op, "toy", lambda x: x)
    return True
_registry.load_kernels = load_kernels
x = at.ones((2,))
assert op(x).device.type == "cpu" and op(at.ones((2,), device="meta")).device.type == "cpu"
toy = x.to("toy")
asked.clear()
assert [op(toy).device.type for _ in range(2)] == ["toy", "toy"]
assert asked == [("toy", "mine")], asked
"""


def test_a_kernel_for_all_devices_does_not_hide_the_devices_own(compile_plugin: Callable[..., Path]) -> None:
    command = [sys.executable, "-c", BETTER, str(compile_plugin("toy_device.cpp", "-DTOY_WITHOUT_KERNELS"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_devices_that_need_none() -> None:
    with pytest.raises(at.DeviceError, match='expected a device other than "cpu" and "meta", got "cpu"'):
        at.fallback_to_cpu("cpu")
