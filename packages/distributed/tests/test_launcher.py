"""The launcher and spawn: the environment of a rank, how jobs end, and that nothing outlives them."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from launching import HERE, launch_job, wait_until_dead

from atled import distributed as dist
from atled.distributed import run

JOBS = HERE / "jobs.py"


def test_ranks_find_the_contract_in_their_environment():
    ended = launch_job(JOBS, "environment", "--lr", "0.1", ranks=3)
    assert ended.status == 0, ended.stderr
    expected = [f"{rank} {rank} 3 3 0 127.0.0.1 --lr 0.1 True" for rank in range(3)]
    assert sorted(ended.stdout.splitlines()) == expected


def test_a_module_runs_like_a_script(monkeypatch):
    monkeypatch.chdir(HERE)
    ended = launch_job("-m", "jobs", "environment")
    assert ended.status == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == [f"{rank} {rank} 2 2 0 127.0.0.1 True" for rank in range(2)]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_job_that_ends_well_leaves_the_group_by_itself(ranks):
    ended = launch_job(JOBS, "join", ranks=ranks)
    assert (ended.status, ended.stderr) == (0, "")
    assert sorted(ended.stdout.splitlines()) == [f"{rank} of {ranks}" for rank in range(ranks)]


@pytest.mark.parametrize(
    ("how", "status", "last_line"),
    [
        ("raise", 1, "ValueError: rank one is tired"),
        ("sigkill", 137, "rank 1 failed first: killed by SIGKILL"),
        ("exit", 7, "rank 1 failed first: ended with status 7"),
        ("os_exit", 5, "rank 1 failed first: ended with status 5"),
    ],
)
def test_a_failed_rank_ends_the_job_within_ten_seconds(how, status, last_line):
    ended = launch_job(JOBS, "fail", how, ranks=3)
    assert ended.seconds < 10
    assert ended.status == status
    assert ended.stderr.splitlines()[-1] == last_line
    pids = [int(word) for word in ended.stdout.split()]
    assert len(pids) == 6
    assert wait_until_dead(pids, 1.0) == []


def test_a_job_is_started_again_when_a_rank_fails():
    ended = launch_job("--standalone", "--max-restarts", "2", JOBS, "until", "1")
    assert ended.status == 0, ended.stderr
    assert {"0 after 1", "1 after 1"} <= set(ended.stdout.splitlines())
    assert ended.stderr.count("ended with status 3\natled.distributed: restart 1 of 2") == 1
    assert "restart 2" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--master-port", "99999", JOBS], "expected a MASTER_PORT from 0 to 65535, got 99999"),
        (["--standalone", "--nnodes", "2", JOBS], "one node and any free port"),
        (["--max-restarts", "1", "--nnodes", "2", "--master-port", "1", JOBS], "max_restarts >= 0, and 0 with several"),
        (["--nproc-per-node", "all", JOBS], "expected a number, gpu, cpu or auto, got 'all'"),
    ],
)
def test_wrong_options_are_explained(capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        run.main([*map(str, words), "join"])
    assert re.search(message, capsys.readouterr().err)


def test_one_process_for_each_processor():
    assert 1 <= run._nproc("cpu") <= os.cpu_count()
    assert run._nproc("auto") >= 1


def test_the_traceback_shows_the_script_and_nothing_of_the_launcher():
    ended = launch_job(JOBS, "fail", "raise")
    # What comes before was written by the ranks themselves: Python warns of forks.
    _, told, traceback = ended.stderr.partition("rank 1 failed first: ended with status 1\n")
    rest = traceback.splitlines()
    assert told
    assert rest[0] == "Traceback (most recent call last):"
    assert str(JOBS) in rest[1]
    assert not any("_worker.py" in line or "runpy" in line for line in rest)


def test_a_crash_shows_where_it_happened():
    ended = launch_job(JOBS, "fail", "sigsegv")
    assert ended.status == 128 + signal.SIGSEGV
    assert "rank 1 failed first: killed by SIGSEGV" in ended.stderr
    assert "in end" in ended.stderr.partition("killed by SIGSEGV")[2]


def test_ranks_that_cannot_leave_are_not_taken_for_the_cause():
    ended = launch_job(JOBS, "late", "sigkill", ranks=3)
    assert ended.status == 137 and ended.stderr.splitlines()[-1] == "rank 1 failed first: killed by SIGKILL"
    assert ended.stderr.count("cannot leave: rank 1 failed") == 2


def test_a_rank_that_ends_quietly_too_early_is_a_failure():
    ended = launch_job(JOBS, "fail", "os_exit_0")
    assert ended.status == 1
    assert "RankFailedError: rank 1 failed: the process ended without leaving the group" in ended.stderr


def test_a_rank_that_ignores_sigterm_is_killed():
    ended = launch_job(JOBS, "deaf", "raise")
    assert ended.seconds < 10
    assert ended.stderr.splitlines()[-1] == "ValueError: rank one is tired"


def test_a_rank_that_hangs_is_named():
    ended = launch_job(JOBS, "hang")
    assert ended.status == 1 and ended.seconds < 10
    assert "DistTimeoutError: barrier() (call 2 of group 'world'): not done within 2 s" in ended.stderr
    assert "rank 1 has not called it; its last call: barrier() (call 1 of group 'world')" in ended.stderr


def test_a_rank_that_does_not_join_is_named():
    ended = launch_job(JOBS, "absent", ranks=3)
    assert ended.status == 1 and ended.seconds < 10
    assert "init_process_group: backend: waited 2 s for 1 of 3 ranks; missing: [1]" in ended.stderr


def test_a_rank_that_leaves_while_another_goes_on_is_a_mismatch():
    ended = launch_job(JOBS, "early")
    assert ended.status == 1
    assert "rank 1: destroy_process_group()" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ranks_end_with_their_launcher(number):
    command = [sys.executable, "-m", "atled.distributed.run", "--nproc-per-node", "2", JOBS, "sleep"]
    # A background job starts with interrupts ignored, which its children inherit.
    launcher = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert launcher.stdout is not None
    with launcher.stdout:
        pids = [int(launcher.stdout.readline()) for _ in range(2)]
        launcher.send_signal(number)
        assert wait_until_dead(pids) == []
    assert launcher.wait(10) == (-number if number == signal.SIGKILL else 128 + number)


def test_without_a_launcher_the_environment_is_enough():
    ranks = _start_by_hand("join", world_size=2)
    outputs = [process.communicate(timeout=30) for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], outputs
    assert [output for output, _ in outputs] == ["0 of 2\n", "1 of 2\n"]


def test_without_a_launcher_a_failure_still_ends_the_others():
    start = time.monotonic()
    ranks = _start_by_hand("fail", "sigkill", world_size=3)
    children = []
    for process in ranks:
        output, error = process.communicate(timeout=30)
        children.append(int(output.split()[1]))
        if process is not ranks[1]:
            assert process.returncode == 1
            assert "RankFailedError: rank 1 failed" in error
    assert time.monotonic() - start < 15
    for child in children:
        os.kill(child, signal.SIGKILL)


def _start_by_hand(*words, world_size):
    from atled.distributed._store import listen

    with listen("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    contract = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, str(JOBS), *words],
            env={**os.environ, **contract, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ranks_that_cannot_be_started_leave_nothing_open(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no more processes"):
        dist.launch([str(JOBS), "join"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_script_that_does_not_exist_is_reported():
    ended = launch_job("no_such_script.py")
    assert ended.status != 0
    assert "no_such_script.py" in ended.stderr.splitlines()[-1]


def power(rank, base):
    return base**rank


def refuse(rank):
    if rank == 1:
        raise ValueError("no")
    time.sleep(300)


def leave_alone(rank, told):
    dist.init_process_group(timeout=60)
    if rank == 1:
        time.sleep(0.5)
        os._exit(5)
    with pytest.raises(dist.RankFailedError, match="rank 1 failed"):
        dist.destroy_process_group()
    dist.destroy_process_group()  # as for any who go on after a failure
    told.touch()


def test_who_leaves_is_told_of_a_rank_that_dies_meanwhile(tmp_path):
    with pytest.raises(dist.RankFailedError, match="rank 1 failed first: ended with status 5"):
        dist.spawn(leave_alone, (tmp_path / "told",), nprocs=2)
    assert (tmp_path / "told").exists()


def elsewhere(rank, port):
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=port)
    dist.init_process_group(rank=rank, world_size=2, timeout=20)
    return dist.get_world_size()


def test_spawned_ranks_may_choose_another_port():
    from atled.distributed._store import listen

    with listen("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    assert dist.spawn(elsewhere, (str(port),), nprocs=2) == [2, 2]


def test_spawn_returns_what_the_ranks_return():
    assert dist.spawn(power, (3,), nprocs=3) == [1, 3, 9]


def test_spawn_raises_with_the_traceback_of_the_first_failure():
    with pytest.raises(dist.RankFailedError, match="spawn: rank 1 failed first") as caught:
        dist.spawn(refuse, nprocs=2)
    assert caught.value.rank == 1
    assert caught.value.traceback.endswith("ValueError: no\n")
    assert 'raise ValueError("no")' in caught.value.traceback


def test_spawn_wants_a_function_that_can_be_pickled():
    with pytest.raises(dist.DistError, match="fn and args must be picklable"):
        dist.spawn(lambda rank: rank, nprocs=1)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((power, (3,), 0), ValueError, "spawn: expected nprocs >= 1, got 0"),
        ((power, 3), TypeError, r"spawn: expected args to be a tuple, such as \(3,\), got 3"),
        ((sys.exit, (), 1), dist.RankFailedError, r"spawn: rank 0 ended by sys.exit\(0\), before fn returned"),
    ],
)
def test_wrong_ways_to_spawn_are_explained(arguments, kind, message):
    with pytest.raises(kind, match=message):
        dist.spawn(*arguments)


@pytest.mark.parametrize(("words", "message"), [(["-"], "of an interactive session"), ([], "put what is to run once")])
def test_spawn_says_where_its_function_must_be(tmp_path, words, message):
    text = "from atled import distributed as dist\ndef fn(rank):\n    pass\ndist.spawn(fn)\n"
    script = tmp_path / "script.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, *(words or [script])], input=text, capture_output=True, text=True, timeout=60
    )
    assert message in done.stderr.splitlines()[-1]


def test_launch_wants_a_list():
    with pytest.raises(TypeError, match=r"expected target to be a list, such as \['a.py'\], got a string"):
        dist.launch("a.py")


@pytest.mark.parametrize("options", [{"nproc_per_node": 0}, {"nnodes": 2}, {"nnodes": 2, "node_rank": 2}])
def test_launch_refuses_what_cannot_work(options):
    with pytest.raises(dist.DistError, match="launch: "):
        dist.launch([str(JOBS), "join"], **options)


def test_two_nodes_on_one_machine():
    from atled.distributed._store import listen

    with listen("127.0.0.1", 0) as probe:
        port = str(probe.getsockname()[1])
    words = ["--nnodes", "2", "--master-port", port, "--nproc-per-node", "1"]
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "atled.distributed.run", *words, "--node-rank", node, JOBS, "join"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for node in ("0", "1")
    ]
    assert [node.communicate(timeout=30)[0] for node in nodes] == ["0 of 2\n", "1 of 2\n"]
    assert [node.returncode for node in nodes] == [0, 0]
