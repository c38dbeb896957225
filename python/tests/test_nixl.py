"""NIXL registers areas, and moves bytes from one into another: by its UCX backend, between two
agents of one process.

In a process of its own: with nixl-cu12 1.5.1 and no GPU, each process that made an agent ends with
a SIGSEGV in NIXL's own exit handlers, with areas and without. So that process leaves without
running them.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

#: NIXL is packaged for each CUDA; the UCX backend needs no GPU.
PACKAGES = ("nixl_cu12", "nixl_cu13", "nixl")

PROGRAM = """
import importlib, os, sys, time
import areas
import numpy as np

module, name = importlib.import_module(sys.argv[1]), sys.argv[2]
one, two = (module.nixl_agent(who, module.nixl_agent_config(backends=["UCX"])) for who in ("areas-one", "areas-two"))
source = areas.put(np.arange(1 << 16, dtype="i8"), name=name, freeze=False)
target = areas.create(f"{name}: into", shape=(1 << 16,), dtype="i8")
ours, theirs = ([(a.array.ctypes.data, a.array.nbytes, 0)] for a in (source, target))
registered = [(who, who.register_memory([(*piece[0], "")], "DRAM")) for who, piece in ((one, ours), (two, theirs))]
there = one.add_remote_agent(two.get_agent_metadata())
there = there.decode() if isinstance(there, bytes) else there
local, remote = (one.get_xfer_descs(pieces, "DRAM") for pieces in (ours, theirs))
transfer = one.initialize_xfer("WRITE", local, remote, there)
state, deadline = one.transfer(transfer), time.monotonic() + 60
while state == "PROC" and time.monotonic() < deadline:
    state = one.check_xfer_state(transfer)
assert state == "DONE", state
# Another mapping of the target, which knows nothing of NIXL.
found = areas.find(f"{name}: into")
assert (found.array == np.arange(1 << 16)).all()
one.release_xfer_handle(transfer)
for who, memory in registered:
    who.deregister_memory(memory)
# What is registered no more can be frozen.
target.freeze()
assert target.array[-1] == (1 << 16) - 1
print("moved and frozen", flush=True)
os._exit(0)
"""


def test_bytes_go_from_one_registered_area_into_another(name):
    found = [package for package in PACKAGES if importlib.util.find_spec(package)]
    if not found:
        pytest.skip("NIXL is not installed (pip install nixl-cu12)")
    command = [sys.executable, "-c", PROGRAM, found[0], name]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=150)
    assert ran.returncode == 0 and "moved and frozen" in ran.stdout, ran.stdout + ran.stderr
