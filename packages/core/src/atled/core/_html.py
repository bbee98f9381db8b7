"""How notebooks show a tensor."""

from __future__ import annotations

from html import escape

from ._core import Tensor
from ._printing import values_text

_STYLE = "border:1px solid currentColor;border-radius:4px;padding:4px 8px;display:inline-block"


def tensor_html(tensor: Tensor) -> str:
    """A small table: shape, dtype, device, bytes, and the values as they print, cut where they are many."""
    rows = {
        "shape": " × ".join(map(str, tensor.shape)) or "()",
        "dtype": tensor.dtype.name,
        "device": str(tensor.device),
        "bytes": f"{tensor.nbytes:,}",
    }
    cells = "".join(f"<td><b>{name}</b> {escape(text)}</td>" for name, text in rows.items())
    values = escape(values_text(tensor))
    return (
        f'<div style="{_STYLE}"><table><tr>{cells}</tr></table>'
        f'<pre style="margin:4px 0 0;max-height:24em;overflow:auto">{values}</pre></div>'
    )
