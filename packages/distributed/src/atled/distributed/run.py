"""The launcher: ``python -m atled.distributed.run --nproc-per-node 2 script.py ARGUMENTS``.

Starts the script once per rank with RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, GROUP_RANK, MASTER_ADDR and
MASTER_PORT set. When a rank fails, ends the others within ten seconds, shows the traceback of the first that failed
last, and ends with its status.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._errors import DistError
from ._launch import launch

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line, runs the job and returns its status."""
    parser = argparse.ArgumentParser(prog="python -m atled.distributed.run", description="Runs a script on many ranks.")
    parser.add_argument("--nproc-per-node", "--nproc_per_node", type=int, default=1, help="processes on each node")
    parser.add_argument("--nnodes", type=int, default=1, help="number of nodes")
    parser.add_argument("--node-rank", "--node_rank", type=int, default=0, help="which node this is, from 0")
    parser.add_argument("--master-addr", "--master_addr", default="127.0.0.1", help="address of node 0")
    parser.add_argument("--master-port", "--master_port", type=int, default=0, help="port of node 0; 0: any free one")
    parser.add_argument("-m", "--module", action="store_true", help="the script is the name of a module")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    options = parser.parse_args(arguments)
    try:
        failure = launch(
            [*["-m"] * options.module, options.script, *options.arguments],
            options.nproc_per_node,
            nnodes=options.nnodes,
            node_rank=options.node_rank,
            master_addr=options.master_addr,
            master_port=options.master_port,
        )
    except DistError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    if failure is None:
        return 0
    print(failure, file=sys.stderr)
    return failure.status


if __name__ == "__main__":
    sys.exit(main())
