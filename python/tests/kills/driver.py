"""Kills 200 processes that make, attach to and share blocks of memory, at random moments, and looks
at what is left.

`driver.py TRIALS SEED`. Ends well if nothing is left of any of them and those that were not killed
went on.
"""

import contextlib
import os
import random
import signal
import struct
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import areas
from areas.shared_memory import ShareableList, SharedMemory, SharedMemoryManager

BLOCK = 8 << 20
AT_ONCE = 4
SURVIVORS = 2
# Of all shared memory of the machine: what other programs may change concurrently. The blocks that
# are made here come to some hundred times of it.
NOISE = 24 << 20


class Tally:
    """How many bytes each victim has made: a word for each in a block of the survivors'."""

    FIRST = 64

    def __init__(self, block):
        self.block = block

    def add(self, trial, size):
        struct.pack_into("q", self.block.buf, self.FIRST + 8 * trial, self.of(trial) + size)

    def of(self, trial):
        return struct.unpack_from("q", self.block.buf, self.FIRST + 8 * trial)[0]


def creator(rng, made):
    """Makes blocks and lists, fills them, keeps some, closes some, unlinks some."""
    kept = []
    for turn in range(1 << 30):
        block = SharedMemory(f"victim-{os.getpid()}-{turn}" if turn % 2 else None, create=True, size=BLOCK)
        block.buf[:] = bytes([turn % 256]) * BLOCK
        made(BLOCK)
        kept += [block, ShareableList([turn, "text", b"bytes", None, 2.5]).shm]
        while len(kept) > 6:
            gone = kept.pop(rng.randrange(len(kept)))
            if rng.random() < 0.5:
                gone.unlink()
            gone.close()


def attacher(rng, made):
    """Attaches to whatever is there, and holds some of it after its makers are dead."""
    held = []
    while True:
        for found in areas.list():
            # It may be gone by now.
            with contextlib.suppress(OSError):
                block = SharedMemory(found.name)
                sum(block.buf[:: 1 << 16])
                held.append(block)
        while len(held) > 8:
            held.pop(rng.randrange(len(held))).close()


def work(block, part):
    return sum(block.buf[part << 16 : (part + 1) << 16 : 64])


def pool(rng, made):
    """Workers that get a block by pickling."""
    block = SharedMemory(create=True, size=BLOCK)
    block.buf[:] = b"\1" * BLOCK
    made(BLOCK)
    with contextlib.suppress(BrokenProcessPool), ProcessPoolExecutor(2, mp_context=get_context("fork")) as workers:
        while True:
            sums = workers.map(work, [block] * 8, range(8))
            assert list(sums) == [1024] * 8
    time.sleep(60)


def manager(rng, made):
    """A manager's process that holds what its clients make."""
    with contextlib.suppress(OSError, EOFError), SharedMemoryManager(ctx=get_context("fork")) as holder:
        while True:
            block = holder.SharedMemory(BLOCK)
            block.buf[:] = b"\2" * BLOCK
            made(BLOCK)
            holder.ShareableList(range(10))
            block.close()
            if rng.random() < 0.2:
                break
    time.sleep(60)


ROLES = [creator, attacher, pool, manager]


def template(orders, answers):
    """Has everything imported and no memory of ours: victims are its children."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while order := os.read(orders, 8):
        number, seed = struct.unpack("ii", order)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                tally = Tally(SharedMemory("survivors"))
                ROLES[number % len(ROLES)](random.Random(seed), lambda size: tally.add(number, size))
            finally:
                os._exit(1)
        # A group of its own, before any process knows of it: it is killed as a whole.
        os.setpgid(pid, pid)
        os.write(answers, struct.pack("i", pid))
    os._exit(0)


def fork_template():
    orders, give = os.pipe()
    take, answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(give)
        template(orders, answers)
    os.close(orders)
    os.close(answers)

    def start(number, seed):
        os.write(give, struct.pack("ii", number, seed))
        return struct.unpack("i", os.read(take, 4))[0]

    return start, lambda: (os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0))


def survivor(name, place):
    """Counts in a block of others', and checks what lies there."""
    block = SharedMemory(name)
    while True:
        (turn,) = struct.unpack_from("q", block.buf, 8 * place)
        struct.pack_into("q", block.buf, 8 * place, turn + 1)
        assert bytes(block.buf[4096:8192]) == b"\7" * 4096
        time.sleep(0.001)


def counted(base):
    """How far the survivors have come."""
    return list(struct.unpack_from(f"{SURVIVORS}q", base.buf, 0))


def members(*groups):
    """Processes of these process groups, zombies apart."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
            state, _, pgrp = stat.read().rpartition(")")[2].split()[:3]
            if int(pgrp) in groups and state != "Z":
                found.append(int(pid))
    return found


def kill(pid, rng):
    """One of its processes first, in every other trial; then all of them."""
    with contextlib.suppress(ProcessLookupError):
        if rng.random() < 0.5:
            os.kill(rng.choice(members(pid) or [pid]), signal.SIGKILL)
            time.sleep(rng.random() * 0.02)
        os.killpg(pid, signal.SIGKILL)


def shmem():
    with open("/proc/meminfo") as meminfo:
        return next(int(line.split()[1]) << 10 for line in meminfo if line.startswith("Shmem:"))


def segments():
    """Memory in /dev/shm.

    Not semaphores: multiprocessing makes its own with a name, and takes that away in the next call.
    Who is killed in between leaves 32 bytes.
    """
    names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    return {name for name in names if name.startswith(("psm_", "victim"))}


def soon(what, seconds=20):
    """Waits until `what` gives nothing more to complain of."""
    end = time.monotonic() + seconds
    while wrong := what():
        if time.monotonic() > end:
            raise SystemExit(wrong)
        time.sleep(0.05)


def trials(count, seed, victims, others):
    rng = random.Random(seed)
    start, end = fork_template()
    before, there = shmem(), segments()
    base = SharedMemory("survivors", create=True, size=BLOCK)
    base.buf[:] = b"\7" * BLOCK
    base.buf[:4096] = bytes(4096)
    for place in range(SURVIVORS):
        pid = os.fork()
        if pid == 0:
            try:
                survivor(base.name, place)
            finally:
                os._exit(1)
        others.append(pid)

    tally, alive, last = Tally(base), [], [0] * SURVIVORS
    for trial in range(count):
        # Roles in turn, AT_ONCE at a time.
        alive.append((trial, start(trial, rng.randrange(1 << 30))))
        victims.append(alive[-1][1])
        if len(alive) >= AT_ONCE:
            number, victim = alive.pop(rng.randrange(len(alive)))
            if rng.random() < 0.7 and ROLES[number % len(ROLES)] is not attacher:
                # The others are killed before they have made anything, as it comes.
                soon(lambda: [f"victim {number} makes nothing" for _ in [0] if not tally.of(number)])
            time.sleep(rng.random() ** 2 * 0.1)
            kill(victim, rng)
        if trial % 20 == 19:
            soon(lambda: [f"survivors stand still: {last}" for now in [counted(base)] if any(map(int.__le__, now, last))])
            last = counted(base)
            again = SharedMemory("survivors")
            assert bytes(again.buf[4096:4100]) == b"\7" * 4
            again.close()
    for _, victim in alive:
        kill(victim, rng)
    end()

    soon(lambda: [f"processes left: {left}" for left in [members(*victims)] if left])
    soon(lambda: [f"names left: {left}" for left in [[a.name for a in areas.list() if a.name != "survivors"]] if left])
    for pid in others:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "a survivor died"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    others.clear()
    made = sum(map(tally.of, range(count)))
    base.close()
    soon(lambda: [f"names left: {left}" for left in [[a.name for a in areas.list()]] if left])
    soon(lambda: [f"in /dev/shm: {left}" for left in [segments() - there] if left])
    soon(lambda: [f"{left >> 20} MiB of shared memory left" for left in [shmem() - before] if left > NOISE])
    print(f"{count} kills, {made >> 20} MiB made, {(shmem() - before) >> 20} MiB left, survivors counted {last}")
    assert made > 2 * count * BLOCK // len(ROLES) and made > 4 * NOISE, "they have made too little to be missed"


def main():
    victims, others = [], []
    try:
        trials(int(sys.argv[1]), int(sys.argv[2]), victims, others)
    finally:
        # Where something went wrong they are still there.
        for pid in others + members(*victims):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
