"""What errors of gradients say, word for word: the op, and the lines of the script that called it."""

import runpy
from pathlib import Path

import pytest

import atled.core as at

HEAD = """\
import atled.core as at
import atled.autograd as autograd
w = at.ones(2, requires_grad=True)
x = at.tensor([1.0, -2.0])
"""

# What follows HEAD, whose lines count; {} is the script's path.
SCRIPTS = {
    "a saved tensor that was changed": (
        """\
def model(x):
    hidden = (x * w).exp()
    return hidden, hidden.sum()
hidden, loss = model(x)
hidden.mul_(2)
loss.backward()
""",
        "exp: its gradient needs a tensor of shape (2,) as it was at {}:6, but it was changed in place by mul_ at "
        "{}:9 (version 1, expected 0); change a copy of it (clone()), or use the form that makes a new tensor",
    ),
    "an input that was changed": (
        """\
hidden = x * w
loss = (hidden ** 2
        ).sum()
with autograd.no_grad():
    hidden[0] = 0.0
loss.backward()
""",
        "pow: its gradient needs a tensor of shape (2,) as it was at {}:6, but it was changed in place by setitem_ at "
        "{}:9 (version 1, expected 0); change a copy of it (clone()), or use the form that makes a new tensor",
    ),
    "a result that was changed": (
        """\
y = (x * w).exp()
y.add_(1)
y.sum().backward()
""",
        "exp: its gradient needs a tensor of shape (2,) as it was at {}:5, but it was changed in place by add_ at "
        "{}:6 (version 1, expected 0); change a copy of it (clone()), or use the form that makes a new tensor",
    ),
    "one of a list that was changed": (
        """\
rows = [w * 2, w * 3]
loss = at.prod(at.stack(rows), 0).sum()
s = w.tanh()
t = s * s
s.zero_()
t.sum().backward()
""",
        "mul: its gradient needs a tensor of shape (2,) as it was at {}:8, but it was changed in place by zero_ at "
        "{}:9 (version 1, expected 0); change a copy of it (clone()), or use the form that makes a new tensor",
    ),
    "what a Function saved": (
        """\
class Square(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]
h = w * 2
y = Square.apply(h)
h += 1
y.sum().backward()
""",
        "Square: its gradient needs a tensor of shape (2,) as it was at {}:14, but it was changed in place by add_ at "
        "{}:15 (version 1, expected 0); change a copy of it (clone()), or use the form that makes a new tensor",
    ),
    "in a second order": (
        """\
y = w.tanh()
h = y * y
(g,) = autograd.grad(h.sum(), w, create_graph=True)
with autograd.no_grad():
    y.zero_()
g.sum().backward()
""",
        "mul: its gradient needs a tensor of shape (2,) as it was at {}:5, but it was changed in place by zero_ at "
        "{}:9 (version 1, expected 0); change a copy of it (clone()), or use the form that makes a new tensor",
    ),
    "an unused leaf": (
        """\
b = at.zeros(3, 4)
b.requires_grad_()
loss = (x * w).sum()
autograd.grad(loss, [w, b])
""",
        "grad: no output depends on input 1, a leaf since {}:6 of shape (3, 4); pass allow_unused=True to get None "
        "for it",
    ),
    "an unused result": (
        """\
scaled = w * 3
loss = (x * w).sum()
autograd.grad(loss, scaled)
""",
        "grad: no output depends on input 0, the result of mul at {}:5 of shape (2,); pass allow_unused=True to get "
        "None for it",
    ),
    "nothing that requires grad": (
        """\
(x * 2).sum().backward()
""",
        "backward: expected tensor 0 to require grad, got one of shape () and dtype float32 that was made from none "
        "that does, or under no_grad()",
    ),
    "integers": (
        """\
(x * w).argmax().backward()
""",
        "backward: expected tensor 0 to require grad, got one of shape () and dtype int64 that has no gradient, "
        "whatever it was made from",
    ),
    "inference": (
        """\
with autograd.inference_mode():
    y = (x * w).sum()
y.backward()
""",
        "backward: expected tensor 0 to require grad, got one of shape () and dtype float32 that was made in "
        "inference_mode()",
    ),
    "saved tensors that are gone": (
        """\
y = w.exp()
y.sum().backward()
y.sum().backward()
""",
        "exp: its saved tensors were freed by an earlier backward (it was called at {}:5); pass retain_graph=True to "
        "that one to go through the graph again",
    ),
    "an inference tensor that is needed later": (
        """\
with autograd.inference_mode():
    scale = at.full((2,), 3.0)
y = w * scale
""",
        "mul: expected a tensor that was made outside inference_mode, got one of shape (2,) that was made inside, "
        "which cannot be saved for a gradient; use a copy of it that is made outside: clone()",
    ),
    "an inference tensor in place": (
        """\
with autograd.inference_mode():
    total = at.zeros(2)
total += w
""",
        "add: expected a tensor that was made outside inference_mode, got one of shape (2,) that was made inside, "
        "which cannot be changed by a recorded call; use a copy of it that is made outside: clone()",
    ),
    "an inference tensor as a leaf": (
        """\
with autograd.inference_mode():
    b = at.zeros(2)
b.requires_grad_()
""",
        "requires_grad_: expected a tensor that was made outside inference_mode, got one of shape (2,) that was made "
        "inside, which cannot be a leaf that requires grad; use a copy of it that is made outside: clone()",
    ),
    "NaN in forward": (
        """\
with autograd.detect_anomaly():
    loss = (
        (x * w).log()
    ).sum()
    loss.backward()
""",
        "log: expected a result without NaN, since its arguments have none, got 1 of 2 elements NaN, the first at "
        "(1,), in the call at {}:7",
    ),
    "NaN in backward": (
        """\
h = (x * w).abs() * 0
with autograd.detect_anomaly():
    h.sqrt().sum().backward()
""",
        "mul: expected a gradient of input without NaN, since the one it is made from has none, got 2 of 2 elements "
        "NaN, the first at (0,), in the call at {}:5",
    ),
    "NaN from a Function": (
        """\
class Bad(autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x + y
    @staticmethod
    def backward(ctx, g):
        return g, g * float("nan")
y = Bad.apply(w, w * 2)
with autograd.detect_anomaly():
    y.sum().backward()
""",
        "Bad: expected a gradient of tensor 1 among its arguments without NaN, since the one it is made from has none, "
        "got 2 of 2 elements NaN, the first at (0,), in the call at {}:12",
    ),
    "NaN that was given": (
        """\
y = x * w
with autograd.detect_anomaly():
    y.backward(at.tensor([0.0, float("nan")]))
""",
        "backward: expected gradients without NaN, got 1 of 2 elements NaN, the first at (1,), for the result of mul "
        "at {}:5: it was given so, a hook made it so, or infinities of both signs were added",
    ),
    "NaN of a sum": (
        """\
y = x * w
with autograd.detect_anomaly():
    (y * float("inf") - y * float("inf")).sum().backward()
""",
        "sub: expected a result without NaN, since its arguments have none, got 2 of 2 elements NaN, the first at "
        "(0,), in the call at {}:7",
    ),
    "a leaf and NaN of a sum": (
        """\
y = w * 1e30 * 1e30
z = w * 1e30 * -1e30
seed = at.ones(2)
with autograd.detect_anomaly():
    autograd.backward([y, z], [seed, seed])
""",
        "backward: expected gradients without NaN, got 2 of 2 elements NaN, the first at (0,), for a leaf since {}:3: "
        "it was given so, a hook made it so, or infinities of both signs were added",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_messages(name: str, tmp_path: Path) -> None:
    body, expected = SCRIPTS[name]
    script = tmp_path / "train.py"
    script.write_text(HEAD + body)
    with pytest.raises(at.AutogradError) as caught:
        runpy.run_path(str(script))
    assert str(caught.value) == expected.replace("{}", str(script))


def test_errors_in_backward_get_a_note(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    body = """\
class Broken(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g @ at.ones(3)
y = Broken.apply(w)
y.sum().backward()
"""
    script.write_text(HEAD + body)
    with pytest.raises(at.ShapeError) as caught:
        runpy.run_path(str(script))
    assert caught.value.__notes__ == [f"in the gradient of Broken at {script}:12"]


def test_calls_in_modules_of_atled_are_told_by_the_line_of_the_user() -> None:
    w = at.ones(2, 2, requires_grad=True)
    y = at.stack([at.einsum("ij,jk->ik", w, w)])  # composite, in Python
    assert y.grad_fn is not None
    from atled.autograd import _tape

    assert _tape.origin(y).startswith(f"the result of stack at {__file__}:")
