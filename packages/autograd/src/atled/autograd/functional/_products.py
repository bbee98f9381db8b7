"""Products of Jacobians and Hessians with vectors, which cost a few times what the function costs."""

from typing import Any

from atled.autograd.functional import _arguments as a
from atled.autograd.grad_mode import recorded
from atled.core._explained import explained


@explained
def vjp(
    func: a.Function, inputs: a.Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(func(*inputs), v · J)``: the gradient of the inputs for the gradient v of the outputs.

    func: answers a tensor or a tuple of them. inputs: a tensor or a tuple. v: shaped as the outputs; may be left out
    for one real element. create_graph: record all of it, so that the results can be differentiated.
    strict: AutogradError, in place of zeros, for an output or an input that nothing depends on.
    Of complex values it is ``conj(J)ᵀ v``, as the tape's gradients are.

    >>> import atled.core as at
    >>> from atled.autograd.functional import vjp
    >>> output, gradient = vjp(lambda x: x * x, at.tensor([1.0, 2.0]), at.tensor([1.0, 10.0]))
    >>> gradient.tolist()
    [2.0, 40.0]
    """
    given = a.listed(inputs, "inputs", "vjp")
    with recorded("vjp"):
        used = a.fresh(given, create_graph)
        output, outputs = a.call(func, used, "vjp")
        a.require_recorded(outputs, strict, "vjp")
        seeds = a.vector(v, outputs, "vjp", "func's result")
        found = a.pull(outputs, used, seeds, create_graph=create_graph, strict=strict, name="vjp")
    return a.like(a.finished(outputs, create_graph), output), a.like(a.finished(found, create_graph), inputs)


@explained
def jvp(
    func: a.Function, inputs: a.Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(func(*inputs), J · v)``: how the outputs change when the inputs move along v.

    v: shaped as the inputs; may be left out for one real element. The other arguments are those of `vjp`.

    >>> import atled.core as at
    >>> from atled.autograd.functional import jvp
    >>> output, change = jvp(lambda x: x * x.sum(), at.tensor([1.0, 2.0]), at.tensor([1.0, 0.0]))
    >>> change.tolist()
    [4.0, 2.0]
    """
    given = a.listed(inputs, "inputs", "jvp")
    tangents = a.vector(v, given, "jvp", "the input")
    with recorded("jvp"):
        used = a.fresh(given, create_graph)
        output, outputs = a.call(func, used, "jvp")
        a.require_recorded(outputs, strict, "jvp")
        found = a.pushed(outputs, used, create_graph=create_graph, strict=strict, name="jvp")(tangents)
    return a.like(a.finished(outputs, create_graph), output), a.like(a.finished(found, create_graph), output)


@explained
def vhp(
    func: a.Function, inputs: a.Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(func(*inputs), v · H)`` of a function that answers one real element: a gradient of a gradient.

    v: shaped as the inputs; may be left out for one real element. The other arguments are those of `vjp`. Of complex
    inputs it is the derivative of the gradient along v, H being symmetric.

    >>> import atled.core as at
    >>> from atled.autograd.functional import vhp
    >>> value, product = vhp(lambda x: (x**3).sum(), at.tensor([1.0, 2.0]), at.tensor([1.0, 1.0]))
    >>> product.tolist()
    [6.0, 12.0]
    """
    return _hessian_product(func, inputs, v, create_graph, strict, "vhp")


@explained
def hvp(
    func: a.Function, inputs: a.Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(func(*inputs), H · v)``: as `vhp`, by moving the gradient along v, which takes one more run than that.

    >>> import atled.core as at
    >>> from atled.autograd.functional import hvp
    >>> value, product = hvp(lambda x: (x**3).sum(), at.tensor([1.0, 2.0]), at.tensor([1.0, 1.0]))
    >>> product.tolist()
    [6.0, 12.0]
    """
    return _hessian_product(func, inputs, v, create_graph, strict, "hvp")


def _hessian_product(
    func: a.Function, inputs: a.Tensors, v: Any, create_graph: bool, strict: bool, name: str
) -> tuple[Any, Any]:
    given = a.listed(inputs, "inputs", name)
    along = a.vector(v, given, name, "the input")
    with recorded(name):
        used = a.fresh(given, create_graph)
        value = func(*used)
        output = a.scalar(value, name)
        a.require_recorded((output,), strict, name)
        seed = a.vector(None, (output,), name, "func's result")
        slopes = a.pull((output,), used, seed, create_graph=True, strict=strict, name=name)
        if name == "vhp":
            found = a.pull(slopes, used, along, create_graph=create_graph, strict=strict, name=name)
        else:
            found = a.pushed(slopes, used, create_graph=create_graph, strict=strict, name=name)(along)
    return a.like(a.finished([output], create_graph), value), a.like(a.finished(found, create_graph), inputs)
