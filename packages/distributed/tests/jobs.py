"""Scripts for the launcher: ``jobs.py NAME [ARGUMENT...]`` runs one function on every rank."""

import ctypes
import os
import signal
import sys
import time

from atled import distributed as dist


def environment(*arguments):
    """Prints what the launcher promises."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR")
    values = [os.environ[name] for name in names]
    sys.stdout.write(" ".join([*values, *sys.argv[2:], str(__name__ == "__main__")]) + "\n")


def join():
    """Joins, meets the others, and leaves without saying so."""
    dist.init_process_group(timeout=20)
    dist.barrier()
    sys.stdout.write(f"{dist.get_rank()} of {dist.get_world_size()}\n")


def fail(how):
    """Rank 1 ends in some bad way while the others wait for it; each rank has a child that would outlive it."""
    dist.init_process_group(timeout=30)
    child = os.fork()
    if child == 0:
        # As a data worker would be, but with no hold on the pipes that the test reads.
        os.closerange(0, 3)
        time.sleep(300)
    sys.stdout.write(f"{os.getpid()} {child}\n")
    sys.stdout.flush()
    dist.barrier()
    if dist.get_rank() == 1:
        end(how)
    dist.barrier()


def end(how):
    """Ends this process."""
    if how == "raise":
        raise ValueError("rank one is tired")
    if how == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sigsegv":
        ctypes.string_at(0)
    if how == "exit":
        sys.exit(7)
    if how == "os_exit":
        os._exit(5)
    if how == "os_exit_0":
        os._exit(0)
    raise AssertionError(how)


def until(count):
    """Rank 1 fails until the job has been started again ``count`` times."""
    dist.init_process_group(timeout=20)
    dist.barrier()
    restarts = os.environ["ATLED_RESTART_COUNT"]
    if dist.get_rank() == 1 and restarts != count:
        sys.exit(3)
    sys.stdout.write(f"{dist.get_rank()} after {restarts}\n")


def deaf(how):
    """Rank 0 neither waits in a collective nor listens to SIGTERM when rank 1 ends."""
    dist.init_process_group(timeout=30)
    if dist.get_rank() == 1:
        dist.destroy_process_group()
        end(how)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    dist.destroy_process_group()
    time.sleep(300)


def hang():
    """Rank 1 never comes to the second barrier."""
    dist.init_process_group(timeout=2)
    dist.barrier()
    if dist.get_rank() == 1:
        time.sleep(300)
    dist.barrier()


def absent():
    """Rank 1 never joins."""
    if os.environ["RANK"] == "1":
        time.sleep(300)
    dist.init_process_group(timeout=2)


def early():
    """Rank 1 ends in good order while the others want more of it."""
    dist.init_process_group(timeout=30)
    if dist.get_rank() != 1:
        dist.barrier()


def late(how):
    """Rank 1 ends in some bad way while the others leave."""
    dist.init_process_group(timeout=30)
    if dist.get_rank() == 1:
        time.sleep(0.5)
        end(how)


def sleep():
    """Joins, tells who it is, and sleeps."""
    dist.init_process_group(timeout=30)
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    time.sleep(300)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
