"""The examples in doc strings run and print what they say."""

import doctest
import importlib
import pydoc
from pathlib import Path
from typing import Any

import pytest

import atled.core as at
from atled.core import _core, _reference
from atled.core._ops import NAMESPACES

PUBLIC = [op for op in _core.ops() if op.ns in NAMESPACES and "private" not in op.traits]
# Ops whose text has no example yet: to be mended, never to be added to.
_WITHOUT = """
acos acosh addbmm addmm addmv addr adjoint all allclose amax amin any as_strided_scatter asin asinh atan atan2
atanh atleast_1d atleast_2d atleast_3d baddbmm bernoulli bernoulli_ binomial block_diag bmm broadcast_tensors
bucketize cartesian_prod cauchy_ ceil chain_matmul cholesky_inverse cholesky_solve clamp clamp_max clamp_min
column_stack copysign corrcoef cos cosh count_nonzero cumprod cumsum deg2rad diag diag_embed diagflat
diagonal_scatter dsplit dstack expand_as exponential_ fill_diagonal_ fliplr flipud floor fmax fmin frac
geometric_ geqrf heaviside hsplit hstack hypot index_reduce inner kron log_normal_ log_softmax logdet logsumexp
lu_solve masked_fill masked_scatter matrix_transpose mean msort multinomial mv nan_to_num nanmean nanquantile
nansum nonzero_static norm normal normal_ ormqr outer pinverse poisson prod qr rad2deg rand_like randint_like
randn_like random_ ravel relu reshape_as rot90 round select_scatter sin sinc sinh slice_scatter softmax
split_with_sizes std std_mean sum svd t tan tanh tensor_split triangular_solve tril_indices triu_indices trunc
uniform_ unique_all unique_counts unique_inverse unique_values var var_mean vdot vecdot view_as vsplit vstack
where linalg::diagonal linalg::eig linalg::eigvals linalg::eigvalsh linalg::householder_product linalg::inv_ex
linalg::ldl_solve linalg::lstsq linalg::lu_solve linalg::matrix_power linalg::matrix_rank linalg::multi_dot
linalg::slogdet linalg::solve_ex linalg::svdvals linalg::tensorinv linalg::tensorsolve
special::chebyshev_polynomial_t special::chebyshev_polynomial_u special::chebyshev_polynomial_v
special::chebyshev_polynomial_w special::hermite_polynomial_h special::hermite_polynomial_he
special::laguerre_polynomial_l special::legendre_polynomial_p special::shifted_chebyshev_polynomial_t
special::shifted_chebyshev_polynomial_u special::shifted_chebyshev_polynomial_v
special::shifted_chebyshev_polynomial_w
"""
WITHOUT = {name if "::" in name else f"core::{name}" for name in _WITHOUT.split()}
OPS = [op for op in _core.ops() if op.ns in NAMESPACES and ">>>" in op.doc]
MODULES = (
    *("_printing", "_serialization", "_registry", "_paths", "_reference", "multiprocessing"),
    *("_dtypes", "_facts", "_functions", "_settings", "_overloads", "array_api"),
    *("accelerator", "backends"),
)


def run(text: str, name: str, names: dict[str, Any]) -> None:
    example = doctest.DocTestParser().get_doctest(text, {"at": at, **names}, name, None, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.qualified_name)
def test_example_of_an_op(op: _core.Op) -> None:
    run(op.doc, op.name, {})


def test_every_op_has_an_example() -> None:
    # An in-place form has none: its text points at the plain form.
    assert {op.qualified_name for op in PUBLIC if ">>>" not in op.doc} <= WITHOUT


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"atled.core.{name}")
    names = {**vars(module), "folder": tmp_path}
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={}):
        if test.examples:
            run(test.docstring or "", test.name, names)


@pytest.mark.parametrize(
    "op",
    [op for ns in NAMESPACES for op in _reference.describe_all(_core.ops(), ns)],
    ids=lambda op: f"{op.ns}-{op.name}",
)
def test_the_reference_page_of_an_op(op: _reference.OpReference) -> None:
    page = _reference.page(op)
    assert page.startswith(f".. py:function:: {op.name}(") and op.schema in page
    compile(f"def {_reference.signature(op).replace('...', 'None')}: pass".replace("from=", "from_="), op.name, "exec")


def test_ops_and_their_class_have_texts() -> None:
    assert isinstance(_core.Op.__doc__, str) and "schema" in _core.Op.__doc__
    lines = (at.log1p.__doc__ or "").splitlines()
    assert lines[0] == "log1p(Tensor input) -> Tensor"
    facts = lines.index("Element by element.")
    assert lines[facts + 1] == "Dtypes: bool and integers (giving the default float), floats, complex."
    assert lines[facts + 2] == "Also Tensor.log1p, log1p_ (in place), atled.core.special.log1p."
    assert lines[facts + 4].startswith(">>> ")
    assert "log1p(Tensor input) -> Tensor" in pydoc.plain(pydoc.render_doc(at.log1p))
    assert "made from the registry" in pydoc.plain(pydoc.render_doc(_core.Op))
