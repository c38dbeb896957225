"""Runs CPython's own tests of shared memory with one start method, and writes how each ended:
`driver.py METHOD FILE`.

The interpreter that runs it has areas in the place of `multiprocessing.shared_memory` (see
`test_cpython.py`), and so have all that the tests start.
"""

import json
import sys
import unittest

from test import _test_multiprocessing

METHOD, REPORT = sys.argv[1:3] if __name__ == "__main__" else ("spawn", "")

_test_multiprocessing.install_tests_in_module_dict(globals(), METHOD)


class Result(unittest.TextTestResult):
    """How each test ended, with the text of what went wrong, those of its parts among it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ends = {}

    def note(self, test, end, text=""):
        name = getattr(test, "test_case", test)._testMethodName
        known = self.ends.get(name)
        # A test of which a part failed ends well all the same.
        if known is None or known["end"] == "passed":
            self.ends[name] = {"end": end, "text": text}
        elif end != "passed":
            known["text"] += text

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, "passed")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, "failed", self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        self.note(test, "failed", self.errors[-1][1])

    def addSubTest(self, test, part, error):
        super().addSubTest(test, part, error)
        if error is not None:
            self.note(test, "failed", (self.failures + self.errors)[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped", reason)


def main():
    from multiprocessing import managers, shared_memory

    assert shared_memory.__name__ == "areas.shared_memory", shared_memory
    assert managers.SharedMemoryManager.__module__ == "areas._manager"
    assert _test_multiprocessing.shared_memory is shared_memory
    # Classes with fixtures of the module: a suite of unittest's own, which runs setUpModule.
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(WithProcessesTestSharedMemory)  # noqa: F821
    result = unittest.TextTestRunner(resultclass=Result, verbosity=2).run(suite)
    with open(REPORT, "w") as file:
        json.dump(result.ends, file)


if __name__ == "__main__":
    main()
