# Python's multiprocessing.shared_memory, asked what to do a line at a time; answers are
# nanoseconds.
import sys
from multiprocessing.shared_memory import SharedMemory
from time import monotonic_ns


def share(times, name, size, touch):
    for _ in range(times):
        memory = SharedMemory(name, create=True, size=size)
        if touch:
            memory.buf[::4096] = b"\1" * len(range(0, size, 4096))
        memory.close()
        memory.unlink()


def find(times, name):
    for _ in range(times):
        SharedMemory(name).close()


for line in sys.stdin:
    words = line.split()
    start = monotonic_ns()
    try:
        if words[0] == "share":
            share(int(words[1]), words[2], int(words[3]), words[4] == "1")
        elif words[0] == "find":
            find(int(words[1]), words[2])
        elif words[0] == "version":
            start = monotonic_ns() - sys.version_info[0]
        print(monotonic_ns() - start, flush=True)
    except Exception as failed:
        print(failed, flush=True)
