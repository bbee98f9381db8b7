"""The rendezvous: the store, gathering, and news of failures, with both ranks in this process."""

import asyncio
import json
import socket
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from atled.distributed import DistError, DistTimeoutError, RankFailedError, Store, _store
from atled.distributed._calls import overdue
from atled.distributed._rendezvous import Rendezvous, RendezvousServer
from atled.distributed._store import listen


def join(address, rank, world_size=2, timeout=5.0):
    return Store(*address, rank, world_size, timeout)


@pytest.fixture
def stores(address):
    both = [join(address, 0), join(address, 1)]
    yield both
    for store in both:
        store.leave()


def test_a_value_set_by_one_rank_is_seen_by_the_other(stores):
    stores[0].set("id", bytes(range(256)))
    assert stores[1].get("id") == bytes(range(256))


def test_get_waits_for_set(stores):
    with ThreadPoolExecutor() as pool:
        value = pool.submit(stores[1].get, "late")
        stores[0].set("late", b"come")
        assert value.result(5) == b"come"


def test_get_says_what_nobody_has_set(stores):
    with pytest.raises(DistTimeoutError, match="nobody has set 'never' after 0.1 s"):
        stores[0].get("never", timeout=0.1)
    stores[0].set("never", b"late")
    assert stores[0].get("never") == b"late" and not stores[0]._replies


def test_gather_is_in_rank_order_and_can_be_repeated(stores):
    with ThreadPoolExecutor() as pool:
        for turn in range(20):
            results = list(pool.map(lambda store, turn=turn: store.gather("k", [store.rank, turn]), stores))
            assert results == [[[0, turn], [1, turn]]] * 2


def test_gather_names_who_is_missing(stores):
    with pytest.raises(DistTimeoutError, match=r"epoch: waited 0.2 s for 1 of 2 ranks; missing: \[0\]"):
        stores[1].gather("epoch", None, timeout=0.2)


def test_ask_collects_what_each_rank_is_doing(stores):
    stores[0].status = lambda: "thinking"
    stores[1].status = lambda: ["waiting", 3]
    assert stores[0].ask() == {0: "thinking", 1: ["waiting", 3]}


def test_a_late_call_is_explained_by_what_the_others_have_called(stores):
    for store, call in zip(stores, ("all_reduce(float32[2], SUM)", "broadcast(float32[2], src=0)"), strict=True):
        store.calls.note("world", 1, "barrier()", "barrier() (call 1)")
        store.calls.note("world", 2, call, f"{call} (call 2)")
    stores[0].calls.note("world", 3, "barrier()", "barrier() (call 3)")
    messages = [str(overdue(stores[0], (0, 1), "world", n, s, "late")) for n, s in ((1, "barrier()"), (3, "barrier()"))]
    assert messages == [
        "late",
        "late\n  rank 1 has not called it; its last call: broadcast(float32[2], src=0) (call 2)",
    ]
    differing = overdue(stores[0], (0, 1), "world", 2, "all_reduce(float32[2], SUM)", "late")
    assert str(differing) == "late\n  rank 1 has called broadcast(float32[2], src=0) instead"


def test_a_rank_that_fails_is_known_to_the_other_at_once(stores):
    told = threading.Event()
    stores[0].on_failure = lambda error: told.set()
    stores[1].fail("ValueError: x", "Traceback...")
    assert told.wait(5)
    error = stores[0].failure
    assert isinstance(error, RankFailedError)
    assert (error.rank, error.traceback) == (1, "Traceback...")
    assert str(error) == "rank 1 failed: ValueError: x\nTraceback..."
    with pytest.raises(RankFailedError):
        stores[0].gather("anything", None)


def test_a_waiting_call_ends_when_the_other_rank_vanishes(stores):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(stores[0].get, "never")
        stores[1]._socket.shutdown(socket.SHUT_RDWR)
        with pytest.raises(RankFailedError, match="rank 1 failed: the process ended without leaving"):
            waiting.result(5)


class Peer:
    """What a rank is sent, which may come to nothing once it has joined."""

    def __init__(self, error=None):
        self.error, self.told = error, []

    def write(self, data):
        self.told.append(json.loads(data))

    async def drain(self):
        if self.error is not None and len(self.told) > 1:
            raise self.error

    def close(self):
        pass


def test_both_ends_notice_when_the_other_machine_vanishes():
    with listen("127.0.0.1", 0) as server, ThreadPoolExecutor() as pool:
        joining = pool.submit(join, server.getsockname(), 0)
        served, _ = server.accept()
        with served, served.makefile() as lines:
            served.sendall(json.dumps({"id": json.loads(lines.readline())["id"], "error": None}).encode() + b"\n")
            store = joining.result()
            for end in (served, store._socket):
                assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 3
    store.leave()


def test_of_a_machine_that_vanishes_with_two_ranks_the_others_are_told():
    async def job():
        gone = TimeoutError(110, "Connection timed out")
        rendezvous, peers = Rendezvous(3), [Peer(), Peer(gone), Peer()]
        readers = [asyncio.StreamReader() for _ in peers]
        serving = [asyncio.create_task(rendezvous.connection(*ends)) for ends in zip(readers, peers, strict=True)]
        for rank, reader in enumerate(readers):
            reader.feed_data(json.dumps({"op": "join", "rank": rank, "world_size": 3, "id": 1}).encode() + b"\n")
        await asyncio.sleep(0.05)
        readers[0].set_exception(gone)
        await serving[0]
        return peers[2].told[1:]

    (told,) = asyncio.run(job())
    assert (told["event"], told["rank"]) == ("failed", 0)


def test_leaving_is_no_failure(address):
    first, second = join(address, 0), join(address, 1)
    second.leave()
    first.set("still", b"here")
    assert first.failure is None
    first.leave()


def test_the_end_of_the_connection_is_a_failure(stores):
    stores[0]._socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(RankFailedError, match="is gone"):
        stores[0].get("x")


@pytest.mark.parametrize(
    ("rank", "world_size", "reason"),
    [(0, 2, "rank 0 has joined already"), (1, 3, "has world_size 2, this process says 3"), (2, 2, "0 <= rank < 2")],
)
def test_a_process_with_a_wrong_contract_is_refused(address, rank, world_size, reason, monkeypatch):
    first, made = join(address, 0), []
    connect = _store._connect
    monkeypatch.setattr(_store, "_connect", lambda *args: made.append(connect(*args)) or made[-1])
    with pytest.raises(DistError, match=reason):
        join(address, rank, world_size)
    end = time.monotonic() + 5
    while made[0].fileno() != -1:  # the thread that reads closes last
        assert time.monotonic() < end
        time.sleep(0.01)
    first.leave()


def test_a_store_that_was_left_goes_with_its_last_user(address):
    store = join(address, 0)
    left = weakref.ref(store)
    store.leave()
    store._reader.join(5)
    del store
    assert left() is None


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"{\n", b'{"op":1}\n', b"[]\n", b"cmd=put\n", b"\xff" * 99]
)
def test_garbage_from_a_stranger_harms_nobody(address, stores, garbage):
    with socket.create_connection(address) as stranger:
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(5)
        while stranger.recv(1000):
            pass
    stores[0].set("a", b"b")
    assert stores[1].get("a") == b"b"


def test_nobody_at_the_address_is_said_with_the_variables_to_check():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()
    with pytest.raises(DistTimeoutError, match="check MASTER_ADDR and MASTER_PORT"):
        join(free, 0, timeout=0.2)


def test_an_unknown_host_is_said():
    with pytest.raises(DistError, match="cannot resolve MASTER_ADDR='no.such.host.invalid'"):
        join(("no.such.host.invalid", 1), 0, timeout=0.2)


def test_a_server_that_is_closed_at_once_leaves_nothing():
    threads = threading.active_count()
    for _ in range(20):
        sock = socket.create_server(("127.0.0.1", 0))
        RendezvousServer(sock, 2).close()
    assert threading.active_count() == threads
