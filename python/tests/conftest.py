"""What all tests share."""

import gc
import os
import signal
import sys

import pytest

import areas

# Tests send it, and a shell starts what is in its background with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def name(request):
    """A name of the test's own."""
    return f"test: {request.node.name[:80]} {os.getpid()}"


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No test leaves a mapping of an area, or a published one."""
    gc.collect()
    before = mapped_areas()
    yield
    drop_outbox()
    gc.collect()
    assert mapped_areas() == before
    assert [info for info in areas.list() if info.pid == os.getpid()] == []


def drop_outbox():
    """What this process keeps for arrays of slabs that it sent, and the slabs of others that it has
    mapped: they stay as a rule."""
    if slab := sys.modules.get("areas._slab"):
        slab._outbox = None
        slab._outboxes.clear()
        gc.collect()
        slab._areas.detach_dead()


def mapped_areas():
    """How many mappings of areas this process has: from the kernel."""
    with open("/proc/self/maps") as maps:
        return sum("/memfd:area:" in line for line in maps)
