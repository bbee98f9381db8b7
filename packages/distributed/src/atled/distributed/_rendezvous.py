"""The meeting point of a job: one small TCP server at MASTER_ADDR:MASTER_PORT.

It speaks two line protocols on one port. Lines that begin with ``cmd=`` or ``mcmd=`` are PMI-1, the wire protocol by
which any MPICH starts (so no ``mpiexec`` is needed). Lines that begin with ``{`` are JSON: a key-value store, a gather
over all ranks, and news about ranks that fail. A member whose connection ends before it said ``leave`` has failed.

The file imports nothing of its package, so that rank 0 can run it as a script.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

__all__ = ["Rendezvous", "RendezvousServer"]

_LINE_LIMIT = 64 * 1024 * 1024
_ANSWER_SECONDS = 1.0
_LINGER_SECONDS = 10.0


class Rendezvous:
    """State and protocol of one job of ``world_size`` ranks. All methods run on one event loop."""

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self._members: dict[int, asyncio.StreamWriter] = {}
        self._failure: dict[str, Any] | None = None
        self._values: dict[str, str] = {}
        self._gathers: dict[str, dict[int, Any]] = {}
        self._answers: dict[int, dict[int, Any]] = {}
        self._changed = asyncio.Condition()
        self._asked = 0
        self._pmi = _PmiSpace(world_size)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_empty(self) -> bool:
        """Whether no rank is connected."""
        return not self._members

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client until it closes."""
        rank: int | None = None
        try:
            while line := await reader.readline():
                if line.startswith((b"cmd=", b"mcmd=")):
                    await self._pmi.handle(line.decode(), writer)
                    continue
                message = json.loads(line)
                if message["op"] == "join":
                    if not await self._join(message, writer):
                        break
                    rank = message["rank"]
                elif rank is None:
                    break
                elif message["op"] in ("get", "gather", "ask"):
                    self._background(self._answer_later(message, rank, writer))
                else:
                    await self._handle(message, rank, writer)
        except (OSError, ValueError, KeyError, TypeError):
            # A stranger's garbage, or a peer that is gone: the end of the connection says all that matters.
            pass
        except asyncio.CancelledError:
            # The server closes; asyncio would log a task that ends by cancellation.
            rank = None
        finally:
            if rank is not None and self._members.get(rank) is writer:
                await self._fail(rank, "the process ended without leaving the group", "")
            writer.close()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        rank, size = message["rank"], message["world_size"]
        refusal = None
        if size != self.world_size:
            refusal = f"the job has world_size {self.world_size}, this process says {size}"
        elif not 0 <= rank < size:
            refusal = f"expected 0 <= rank < {size}, got {rank}"
        elif rank in self._members:
            refusal = f"rank {rank} has joined already; two processes were started with the same RANK"
        await _send(writer, {"id": message["id"], "error": refusal})
        if refusal is not None:
            return False
        self._members[rank] = writer
        if self._failure is not None:
            await _send(writer, self._failure)
        return True

    async def _handle(self, message: dict[str, Any], rank: int, writer: asyncio.StreamWriter) -> None:
        op = message["op"]
        reply: dict[str, Any] = {"id": message.get("id")}
        if op == "set":
            self._values[message["key"]] = message["value"]
            await self._notify()
        elif op == "present":
            reply["value"] = sorted(self._gathers.get(message["key"], {}))
        elif op == "answer":
            self._answers.get(message["question"], {})[rank] = message["value"]
            return
        elif op == "fail":
            await self._fail(rank, message["reason"], message["traceback"])
            return
        elif op == "leave":
            self._members.pop(rank, None)
        await _send(writer, reply)

    async def _answer_later(self, message: dict[str, Any], rank: int, writer: asyncio.StreamWriter) -> None:
        op = message["op"]
        value: Any
        if op == "get":
            key = message["key"]
            async with self._changed:
                await self._changed.wait_for(lambda: key in self._values)
            value = self._values[key]
        elif op == "gather":
            key = message["key"]
            values = self._gathers.setdefault(key, {})
            values[rank] = message["value"]
            await self._notify()
            async with self._changed:
                await self._changed.wait_for(lambda: len(values) == self.world_size)
            if self._gathers.get(key) is values:
                del self._gathers[key]
            value = [values[r] for r in range(self.world_size)]
        else:
            value = await self._ask()
        await _send(writer, {"id": message["id"], "value": value})

    async def _ask(self) -> dict[int, Any]:
        """Asks every member what it is doing; who does not answer within a second is missing from the result."""
        self._asked += 1
        question = self._asked
        answers = self._answers[question] = {}
        await self._tell_all({"event": "ask", "question": question})
        deadline = time.monotonic() + _ANSWER_SECONDS
        while len(answers) < len(self._members) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        del self._answers[question]
        return answers

    async def _fail(self, rank: int, reason: str, traceback: str) -> None:
        self._members.pop(rank, None)
        if self._failure is None:
            self._failure = {"event": "failed", "rank": rank, "reason": reason, "traceback": traceback}
            self._pmi.close()
            await self._tell_all(self._failure)

    async def _tell_all(self, message: dict[str, Any]) -> None:
        for writer in list(self._members.values()):
            await _send(writer, message)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _PmiSpace:
    """The PMI-1 side: the key-value space in which MPICH's processes publish how to reach them, and its barrier."""

    def __init__(self, world_size: int) -> None:
        self._world_size = world_size
        # MPICH derives the name of its shared memory from this one, so it must differ between jobs.
        self._name = f"atled_{secrets.token_hex(8)}"
        self._values: dict[str, str] = {}
        self._waiting: list[asyncio.StreamWriter] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def handle(self, line: str, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        command = fields.get("cmd", "")
        if command == "barrier_in":
            self._waiting.append(writer)
            if len(self._waiting) == self._world_size:
                arrived, self._waiting = self._waiting, []
                for each in arrived:
                    await _write(each, b"cmd=barrier_out rc=0\n")
            return
        await _write(writer, self._answer(command, fields).encode() + b"\n")
        if command == "finalize":
            self._writers.discard(writer)

    def _answer(self, command: str, fields: dict[str, str]) -> str:
        if command == "initack":
            size = self._world_size
            return f"cmd=initack\ncmd=set size={size}\ncmd=set rank={fields['pmiid']}\ncmd=set debug=0"
        if command == "put":
            self._values[fields["key"]] = fields["value"]
            return "cmd=put_result rc=0 msg=success"
        if command == "get":
            value = self._values.get(fields["key"])
            if value is None:
                return f"cmd=get_result rc=-1 msg=key_{fields['key']}_not_found value=unknown"
            return f"cmd=get_result rc=0 msg=success value={value}"
        fixed = {
            "init": "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0",
            "get_maxes": "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024",
            "get_appnum": "cmd=appnum appnum=0",
            "get_my_kvsname": f"cmd=my_kvsname kvsname={self._name}",
            "get_universe_size": f"cmd=universe_size size={self._world_size}",
            "finalize": "cmd=finalize_ack rc=0",
        }
        return fixed.get(command, f"cmd={command}_result rc=-1 msg=not_supported")

    def close(self) -> None:
        """Ends every PMI connection, so that a process that still waits for a dead peer inside MPI_Init comes out."""
        for writer in self._writers:
            writer.close()


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    await _write(writer, json.dumps(message).encode() + b"\n")


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    # Of a machine that has vanished it is a TimeoutError; the others are to be told all the same.
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()


async def _settled(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


class RendezvousServer:
    """Serves one job on the listening socket ``sock`` from a daemon thread, until ``close``."""

    def __init__(self, sock: socket.socket, world_size: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._rendezvous = Rendezvous(world_size)
        self._sock = sock
        self._thread = threading.Thread(target=self._run, name="atled-rendezvous", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(_settled(pending))
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._rendezvous.connection, sock=self._sock, limit=_LINE_LIMIT)
        await self._closing.wait()
        server.close()

    def linger(self) -> None:
        """Waits until every rank has left, but not for long: who is still there learns of failures from here."""
        deadline = time.monotonic() + _LINGER_SECONDS
        while not self._rendezvous.is_empty and time.monotonic() < deadline:
            time.sleep(0.02)

    def close(self) -> None:
        """Ends all connections and the thread."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()


def _main() -> None:
    """``python _rendezvous.py FD WORLD_SIZE PARENT``: serves on an inherited socket while its parent lives."""
    descriptor, world_size, parent = map(int, sys.argv[1:])
    server = RendezvousServer(socket.socket(fileno=descriptor), world_size)
    # A pipe from the parent would not tell: children that the parent has forked hold it open.
    while os.getppid() == parent:
        time.sleep(0.1)
    server.linger()


if __name__ == "__main__":
    _main()
