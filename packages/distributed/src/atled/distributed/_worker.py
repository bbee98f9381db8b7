"""What the launcher starts for each rank: runs a script, a module or a pickled function, and leaves word of its end.

``python -m atled.distributed._worker FOLDER LIFELINE script|module|function TARGET [ARGUMENT...]``
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import multiprocessing
import os
import pickle
import runpy
import signal
import sys
import threading
import time
import traceback
from multiprocessing import spawn
from pathlib import Path
from typing import Any

from ._errors import RankFailedError
from ._world import on_failed_leave, report_failure

__all__: list[str] = []


def main(arguments: list[str]) -> None:
    """Runs the target; the process ends with the status that it would have had without a launcher."""
    folder, lifeline, mode, target, *rest = arguments
    own = Path(folder) / f"rank{os.environ['RANK']}"
    _watch(int(lifeline))
    faulthandler.enable(os.open(own.with_suffix(".fault"), os.O_WRONLY | os.O_CREAT))
    on_failed_leave.append(lambda error: _leave_word(own, error))
    try:
        _run(mode, target, rest, own)
    except BaseException as error:
        status = _status_of(error)
        if status != 0:
            _leave_word(own, error)
            report_failure(error, status)
        sys.exit(status)


def _run(mode: str, target: str, arguments: list[str], own: Path) -> None:
    sys.argv = [target, *arguments]
    if mode == "script":
        if not sys.flags.safe_path:
            sys.path[0] = str(Path(target).resolve().parent)
        runpy.run_path(target, run_name="__main__")
    elif mode == "module":
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        with Path(target).open("rb") as file:
            process: Any = multiprocessing.current_process()
            process._inheriting = True  # so that a script that would spawn again by being imported is told
            spawn.prepare(pickle.load(file))
            del process._inheriting
            function, args = pickle.load(file)
        result: Any = function(int(os.environ["RANK"]), *args)
        own.with_suffix(".result").write_bytes(pickle.dumps(result))


def _watch(lifeline: int) -> None:
    """Kills this rank and its children when the launcher, which holds the other end of the pipe, is gone."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="atled-lifeline", daemon=True).start()


def _status_of(error: BaseException) -> int:
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _leave_word(own: Path, error: BaseException) -> None:
    """Writes what the launcher shows, or does not show where another rank's failure is the cause."""
    word = {
        "time": time.time(),
        "is_cause": not isinstance(error, RankFailedError),
        "traceback": "" if isinstance(error, SystemExit) else _own_traceback(error),
    }
    draft = own.with_suffix(".draft")
    draft.write_text(json.dumps(word))
    draft.rename(own.with_suffix(".json"))


def _own_traceback(error: BaseException) -> str:
    """The traceback without the frames of this file and of runpy, which are the same for everybody."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame))


if __name__ == "__main__":
    main(sys.argv[1:])
