"""A 1 GiB array and eight workers, for who knows only NumPy; then everything is killed, and nothing
is left.

The five lines are `STORY`, in a process of its own. This one kills it with all of its workers, and
asks the kernel what is left.
"""

import os
import signal
import subprocess
import sys
import time

SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 30

# The five lines; the rest says that it is ready, and waits to be killed.
STORY = f"""
import areas, multiprocessing, numpy as np, time

def work(array, part):
    array[part::8] = part                       # the very memory: nothing is copied
    done.wait()
    time.sleep(600)

if __name__ == "__main__":
    done = multiprocessing.Barrier(9)
    shared = areas.put(np.zeros({SIZE}, "u1"), freeze=False).array
    for part in range(8):
        multiprocessing.get_context("fork").Process(target=work, args=(shared, part)).start()
    done.wait()
    print(int(shared[:8].sum()), flush=True)
    time.sleep(600)
"""


def mapped(pid):
    """The inode of the area that a process has mapped, and its bytes in RAM there: from the
    kernel."""
    inode, resident = None, 0
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if "/memfd:area:" in line and int(words[0].split("-")[1], 16) - int(words[0].split("-")[0], 16) >= SIZE:
                inode = words[4]
            elif words[0] == "Rss:" and inode and not resident:
                resident = int(words[1]) << 10
    return inode, resident


def holders(inode):
    """Processes that have memory of that inode mapped."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/maps") as maps:
                if any("/memfd:area:" in line and line.split()[4] == inode for line in maps):
                    found.append(pid)
        except OSError:
            continue
    return found


def files():
    """What is in /dev/shm, but for semaphores and folders of others (joblib, loky), and the
    registry of names, which holds no memory."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith(("areas-", "sem.", "loky-", "joblib_"))}


if __name__ == "__main__":
    before = files()
    # A group of its own, which is killed as a whole.
    story = subprocess.Popen([sys.executable, "-c", STORY], stdout=subprocess.PIPE, text=True, start_new_session=True)
    answer = story.stdout.readline().strip()
    inode, _ = mapped(story.pid)
    together = holders(inode)
    resident = max(mapped(pid)[1] for pid in together)
    assert len(together) == 9 and resident >= SIZE, (together, resident)
    os.killpg(story.pid, signal.SIGKILL)
    story.wait()
    deadline = time.monotonic() + 30
    while (holders(inode) or files() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not holders(inode), holders(inode)
    assert not files() - before, files() - before
    print(f"9 processes shared {resident >> 20} MiB, in which the workers wrote {answer}; all were killed: no process has it, and no file is left")
