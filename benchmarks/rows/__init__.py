"""The rows of the table, in groups; a group is a function that makes its rows."""

from benchmarks.rows import (
    cuda,
    decompositions,
    elementwise,
    footprint,
    fusion,
    graphs,
    indexing,
    layers,
    products,
    random,
    reductions,
    sequences,
    sharing,
    sorting,
    steps,
    tiny,
    training,
    transforms,
)
from benchmarks.rows.row import Row

GROUPS = {
    "tiny": tiny.rows,
    "training": training.rows,
    "steps": steps.rows,
    "transforms": transforms.rows,
    "graphs": graphs.rows,
    "elementwise": elementwise.fresh,
    "out": elementwise.out,
    "layouts": elementwise.layouts,
    "fusion": fusion.rows,
    "reductions": reductions.rows,
    "lines": reductions.lines,
    "sorting": sorting.rows,
    "indexing": indexing.rows,
    "matmul": products.matmul,
    "einsum": products.einsum,
    "linalg": decompositions.linalg,
    "fft": decompositions.fft,
    "nn": layers.rows,
    "sequences": sequences.rows,
    "random": random.rows,
    "sharing": sharing.rows,
    "footprint": footprint.rows,
    "cuda": cuda.rows,
}

__all__ = ["GROUPS", "Row"]
