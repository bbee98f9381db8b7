"""Draws a snapshot of a GPU's memory: ``python -m atled.core.cuda.snapshot file.json > view.html``.

The page needs no network. It shows the segments with their blocks, the lines of the program that hold the most, and,
where the allocator's history was recorded, how much was live over time.

>>> import atled.core as at
>>> if at.cuda.is_available():
...     x = at.ones(1000, device="cuda")
...     page = at.cuda.snapshot.html(at.cuda.memory._snapshot())
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from .memory import readable

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>CUDA memory</title><style>
body{font:14px sans-serif;margin:1em 2em;color:#222;background:#fff}
table{border-collapse:collapse}td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd}
td:last-child,th:last-child{text-align:left;font-family:monospace}
.segment{margin:8px 0}.bar{position:relative;height:26px;background:#f3f3f3;border:1px solid #999}
.bar i{position:absolute;top:0;bottom:0;box-sizing:border-box;border-right:1px solid #fff}
#hint{position:fixed;background:#222;color:#fff;padding:4px 8px;border-radius:4px;display:none;white-space:pre}
small{color:#666}canvas{border:1px solid #999;width:100%;height:160px}
</style></head><body><h1>CUDA memory</h1><p>@summary@</p>
<h2>Lines that hold the most</h2><table><tr><th>bytes</th><th>blocks</th><th>line</th></tr>@lines@</table>
<div id="time"></div><h2>Segments</h2>
<p><small>Live blocks are coloured by their line; gray: freed, but still used by other streams; light: free; hatched:
addresses without memory. Point at a block for what it is.</small></p>
<div id="segments"></div><div id="hint"></div>
<script id="data" type="application/json">@data@</script><script>
const data = JSON.parse(document.getElementById("data").textContent), hint = document.getElementById("hint");
const size = n => { let u = 0; while (n >= 1024 && u < 4) { n /= 1024; ++u; }
  return (u ? n.toFixed(1) : n) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][u]; };
const color = text => {
  let h = 0;
  for (const c of text) h = (h * 31 + c.charCodeAt(0)) % 360;
  return `hsl(${h},60%,60%)`; };
const add = (to, tag, name) => {
  const e = document.createElement(tag);
  if (name) e.className = name;
  return to.appendChild(e); };
const unmapped = "repeating-linear-gradient(45deg,#eee,#eee 4px,#fff 4px,#fff 8px)";
const most = Math.max(1, ...data.segments.map(s => s.blocks.reduce((n, b) => n + b.size, 0)));
for (const s of data.segments) {
  const total = s.blocks.reduce((n, b) => n + b.size, 0) || 1;
  const box = add(document.getElementById("segments"), "div", "segment");
  add(box, "small").textContent = `0x${s.address.toString(16)}: ${size(s.total_size)}, ` +
    `${size(s.allocated_size)} of it live, ${s.segment_type} blocks, stream 0x${s.stream.toString(16)}` +
    (s.is_expandable ? ", expandable" : "") + (s.segment_pool_id[0] ? `, pool ${s.segment_pool_id[0]} of graphs` : "");
  const bar = add(box, "div", "bar");
  bar.style.width = Math.max(4, 100 * total / most) + "%";
  let at = 0;
  for (const b of s.blocks) {
    const e = add(bar, "i");
    e.style.left = 100 * at / total + "%";
    e.style.width = 100 * b.size / total + "%";
    e.style.background = b.state == "active_allocated" ? color(b.site || "")
      : b.state == "active_awaiting_free" ? "#999" : b.state == "unmapped" ? unmapped : "#e4e4e4";
    e.dataset.text = `${size(b.size)} at 0x${b.address.toString(16)}\\n${b.state.replace(/_/g, " ")}` +
      (b.requested_size ? `\\n${size(b.requested_size)} asked for` : "") + (b.site ? `\\n${b.site}` : "");
    at += b.size;
  }
}
addEventListener("mousemove", e => {
  const text = e.target.dataset && e.target.dataset.text;
  hint.style.display = text ? "block" : "none";
  if (!text) return;
  hint.textContent = text;
  hint.style.left = Math.min(e.clientX + 12, innerWidth - 320) + "px";
  hint.style.top = e.clientY + 12 + "px";
});
const events = data.device_traces.flat().filter(t => t.action == "alloc" || t.action == "free_requested");
if (events.length > 1) {
  const place = document.getElementById("time");
  add(place, "h2").textContent = `Live bytes over the last ${events.length} allocations and releases`;
  const canvas = add(place, "canvas"), g = canvas.getContext("2d");
  canvas.width = 1600; canvas.height = 320;
  let live = 0, low = 0;
  const steps = events.map(t => {
    live += t.action == "alloc" ? t.size : -t.size; low = Math.min(low, live); return live; });
  const top = Math.max(...steps) - low || 1;  // what was live before the history began is not in it
  g.fillStyle = "#69c";
  steps.forEach((n, i) => { const h = 310 * (n - low) / top;
    g.fillRect(i * 1600 / steps.length, 320 - h, Math.ceil(1600 / steps.length), h); });
  add(place, "small").textContent = `highest: ${size(top)} above the least`;
}
</script></body></html>
"""


def html(snapshot: dict[str, Any]) -> str:
    """One page, complete in itself, of what ``at.cuda.memory._snapshot()`` answers."""
    held: dict[str, tuple[int, int]] = {}
    for segment in snapshot["segments"]:
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                line = block.get("site", "")
                total, count = held.get(line, (0, 0))
                held[line] = total + block["size"], count + 1
    largest = sorted(held.items(), key=lambda entry: -entry[1][0])[:50]
    rows = "".join(
        f"<tr><td>{readable(total)}</td><td>{count}</td><td>{escape(line) or 'unknown'}</td></tr>"
        for line, (total, count) in largest
    )
    reserved = sum(segment["total_size"] for segment in snapshot["segments"])
    live = sum(total for total, _ in held.values())
    summary = f"{readable(live)} live of {readable(reserved)} reserved, in {len(snapshot['segments'])} segments"
    # What may end the script element must not stand in it.
    data = json.dumps(snapshot).replace("<", "\\u003c")
    page = _PAGE.replace("@summary@", summary).replace("@lines@", rows)
    return page.replace("@data@", data)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: a file of JSON in, the page out."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1 or given[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    sys.stdout.write(html(json.loads(Path(given[0]).read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
