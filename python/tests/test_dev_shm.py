"""A /dev/shm that is small, or read-only, is in no process's way. Tried in mount namespaces of
their own."""

import functools
import os
import subprocess
import sys

import pytest

SMALL = "mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm"
READ_ONLY = "mount -t tmpfs -o ro,size=64m tmpfs /dev/shm"

# Makes 256 MiB, fills all of them, and has another process read the last byte.
FILL = """if 1:
    import subprocess, sys
    from {module} import SharedMemory
    block = SharedMemory(create=True, size=256 << 20)
    for at in range(0, block.size, 1 << 20):
        block.buf[at : at + (1 << 20)] = b"x" * (1 << 20)
    other = "import sys; from {module} import SharedMemory; print(SharedMemory(sys.argv[1]).buf[-1])"
    print(subprocess.run([sys.executable, "-c", other, block.name], check=True, stdout=subprocess.PIPE).stdout.decode())
    block.close()
    block.unlink()
"""


def inside(mount, *command):
    """Runs a command in a mount namespace with another /dev/shm, and with a /run of its own, where
    a registry goes that finds no place there."""
    script = f"mount --make-rprivate / && mount -t tmpfs tmpfs /run && {mount} && exec \"$@\""
    # The registry where it is for users who choose none.
    environment = {name: value for name, value in os.environ.items() if name != "AREAS_DIR"}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@functools.cache
def refused():
    """Why there can be no such namespace here, if so."""
    try:
        ran = inside(SMALL, "true")
    except FileNotFoundError:
        return "unshare is not here"
    return ran.stdout.strip() or f"unshare ended with {ran.returncode}" if ran.returncode else ""


@pytest.mark.parametrize("mount", [SMALL, READ_ONLY], ids=["small", "read-only"])
def test_256_mib_beside_an_odd_dev_shm(mount):
    if refused():
        pytest.skip(refused())
    ours = inside(mount, sys.executable, "-c", FILL.format(module="areas.shared_memory"))
    assert (ours.returncode, ours.stdout.strip()) == (0, str(ord("x"))), ours.stdout
    # That it is odd: the standard library's does not come so far.
    theirs = inside(mount, sys.executable, "-c", FILL.format(module="multiprocessing.shared_memory"))
    assert theirs.returncode != 0
