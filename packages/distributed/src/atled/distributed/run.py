"""The launcher: ``python -m atled.distributed.run --nproc-per-node 2 script.py ARGUMENTS``.

Starts the script once per rank with RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, GROUP_RANK, MASTER_ADDR and
MASTER_PORT set. When a rank fails, ends the others within ten seconds, shows the traceback of the first that failed
last, and ends with its status; or, with ``--max-restarts``, starts all of them again, and says in ATLED_RESTART_COUNT
how often it has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._errors import DistError
from ._launch import launch, processors

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parses the command line (None: of this process), runs the job and returns its status.

    Raises SystemExit with 2 for wrong arguments, after having said what is wrong with them.

    >>> from atled.distributed.run import main
    >>> main(["--nproc-per-node", "1", "-m", "platform"])
    0
    """
    parser = argparse.ArgumentParser(prog="python -m atled.distributed.run", description="Runs a script on many ranks.")
    nproc_help = 'processes on each node; "gpu", "cpu" or "auto" (the one of these that there is): one for each'
    parser.add_argument("--nproc-per-node", "--nproc_per_node", type=_nproc, default=1, help=nproc_help)
    parser.add_argument("--nnodes", type=int, default=1, help="number of nodes")
    parser.add_argument("--node-rank", "--node_rank", type=int, default=0, help="which node this is, from 0")
    parser.add_argument("--master-addr", "--master_addr", default="127.0.0.1", help="address of node 0")
    parser.add_argument("--master-port", "--master_port", type=int, default=0, help="port of node 0; 0: any free one")
    parser.add_argument("--standalone", action="store_true", help="one node and any free port, as without this")
    restarts_help = "how often the job is started again when a rank fails (one node)"
    parser.add_argument("--max-restarts", "--max_restarts", type=int, default=0, help=restarts_help)
    parser.add_argument("-m", "--module", action="store_true", help="the script is the name of a module")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")
    options = parser.parse_args(arguments)
    if options.standalone and (options.nnodes != 1 or options.master_port):
        parser.error("--standalone: one node and any free port, so leave out --nnodes and --master-port")
    try:
        failure = launch(
            [*["-m"] * options.module, options.script, *options.arguments],
            options.nproc_per_node,
            nnodes=options.nnodes,
            node_rank=options.node_rank,
            master_addr=options.master_addr,
            master_port=options.master_port,
            max_restarts=options.max_restarts,
        )
    except DistError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    if failure is None:
        return 0
    print(failure, file=sys.stderr)
    return failure.status


def _nproc(text: str) -> int:
    if text not in ("auto", "cpu", "gpu"):
        if not text.isdecimal():
            raise argparse.ArgumentTypeError(f"expected a number, gpu, cpu or auto, got {text!r}")
        return int(text)
    import atled.core as at

    gpus = at.cuda.device_count() if at.cuda.is_available() else 0
    if text == "gpu" and not gpus:
        raise argparse.ArgumentTypeError("there is no GPU; say how many processes, or cpu")
    return processors() if text == "cpu" or not gpus else gpus


if __name__ == "__main__":
    sys.exit(main())
