"""A pytest plugin for `cargo xtask test`: tests chosen by parts of their names, and skips said
aloud.

AREAS_TEST_FILTER: one part of a name a line; tests whose names have none of them are left out.
AREAS_SKIP_LOG: the file that lists what was skipped, one line a test.
"""

import os
import sys

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def pytest_collection_modifyitems(config, items):
    parts = os.environ.get("AREAS_TEST_FILTER", "").splitlines()
    if parts:
        left_out = [item for item in items if not any(part in item.nodeid for part in parts)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def note(name, longrepr):
    # A skip is a triple: file, line, reason.
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    reason = " ".join(reason.removeprefix("Skipped: ").split())
    name = name.replace(": ", ":").replace("\n", " ")
    print(f"SKIPPED: {PYTHON} {name}: {reason}", flush=True)
    if log := os.environ.get("AREAS_SKIP_LOG"):
        with open(log, "a") as file:
            file.write(f"SKIPPED: {PYTHON} {name}: {reason}\n")


def pytest_runtest_logreport(report):
    # A failure that is expected is no skip, though pytest reports both as one.
    if report.skipped and not hasattr(report, "wasxfail"):
        note(report.nodeid, report.longrepr)


def pytest_collectreport(report):
    if report.skipped:
        note(report.nodeid, report.longrepr)
