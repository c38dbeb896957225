"""Sequences of calls of the whole public interface, chosen by hypothesis: no crash, and no wrong
byte.

A program of its own, as a crash ends the interpreter: `test_fuzz.py` starts it, with faulthandler.
Beside each object over an area's memory there is a plain NumPy array that is to be equal to it at
every step, made by the same calls over memory of NumPy's own.

    python fuzz_calls.py EXAMPLES STEPS
"""

from __future__ import annotations

import gc
import os
import pickle
import sys

import areas
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

DTYPES = ["u1", "i4", "f8", "S3", "c16", [("a", "i2"), ("b", "u1")]]
#: Bytes of the largest array that `grow` makes here: 64 rows of 6 times 6 numbers of 16 bytes.
MAX_BYTES = 64 * 6 * 6 * 16
#: Errors that a call may end with. All else is a finding.
ALLOWED = (areas.Error, ValueError, TypeError, BufferError, IndexError)

numbers = st.integers(0, 1 << 30)


class Memory:
    """An area's memory, and the model of it."""

    def __init__(self, nbytes):
        self.model = np.zeros(max(nbytes, MAX_BYTES), "u1")
        self.frozen = False


class Thing:
    """An object over memory, and what it is to be equal to."""

    def __init__(self, memory, real, model):
        self.memory = memory
        self.real = real
        self.model = model


class Calls(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.areas = []
        self.things = []
        self.slab = None
        self.count = 0

    def teardown(self):
        for area, _ in self.areas:
            area.close()
        self.areas.clear()
        # What is left is right without its areas.
        gc.collect()
        self.all_is_equal()
        self.things.clear()
        gc.collect()

    def pick(self, of, number):
        return of[number % len(of)]

    def add(self, memory, real, model):
        if real is not None and len(self.things) < 40:
            self.things.append(Thing(memory, real, model))

    def named(self):
        self.count += 1
        return f"fuzz {os.getpid()} {self.count}"

    # Making.

    @rule(shape=st.lists(st.integers(0, 6), max_size=3), dtype=st.sampled_from(DTYPES), name=st.booleans(), grows=st.booleans())
    def create(self, shape, dtype, name, grows):
        shape = tuple(shape)
        most = (64, *shape[1:]) if grows and shape and shape[0] <= 64 else None
        area = areas.create(self.named() if name else None, shape=shape, dtype=dtype, max_shape=most)
        self.areas.append((area, Memory(area.nbytes)))

    @rule(values=st.lists(st.integers(0, 255), min_size=1, max_size=64), freeze=st.booleans(), name=st.booleans())
    def put(self, values, freeze, name):
        given = np.array(values, "u1")
        area = areas.put(given, self.named() if name else None, freeze=freeze)
        memory = Memory(area.nbytes)
        memory.model[: given.size] = given
        memory.frozen = freeze
        self.areas.append((area, memory))

    @rule(values=st.lists(st.integers(-99, 99), max_size=64))
    def put_into_slab(self, values):
        self.slab = self.slab or areas.Slab(None, 1 << 16)
        given = np.array(values, "i4")
        try:
            self.add(Memory(0), self.slab.put(given), given.copy())
        except areas.NoMemory:
            assert self.slab.blocks

    # Objects over areas.

    @precondition(lambda self: self.areas)
    @rule(which=numbers, how=st.sampled_from(["array", "buf", "memory", "dlpack", "asarray", "from_memory"]))
    def take(self, which, how):
        area, memory = self.pick(self.areas, which)
        try:
            nbytes, shape, dtype = area.nbytes, area.shape, area.dtype
            whole = np.ndarray(shape, dtype, memory.model)
            if how == "array":
                self.add(memory, area.array, whole)
            elif how == "buf":
                self.add(memory, area.buf, memory.model[:nbytes])
            elif how == "memory":
                self.add(memory, area.memory, memory.model[:nbytes])
            elif how == "asarray":
                self.add(memory, np.asarray(area), whole)
            elif how == "from_memory" and nbytes:
                self.add(memory, np.frombuffer(area.memory, "u1"), memory.model[:nbytes])
            elif how == "dlpack" and dtype.names is None and dtype.kind in "uifc":
                self.add(memory, np.from_dlpack(area), whole)
        except areas.Closed:
            assert area.closed

    @precondition(lambda self: self.things)
    @rule(which=numbers, how=st.sampled_from(["slice", "step", "T", "view", "asarray", "memoryview", "ravel", "reshape", "part", "dlpack", "copy", "release", "flat"]), at=st.integers(0, 5))
    def derive(self, which, how, at):
        thing = self.pick(self.things, which)
        real, model = thing.real, thing.model
        try:
            if isinstance(real, np.ndarray):
                made = self.derived(how, at, real), self.derived(how, at, model)
            elif isinstance(real, memoryview):
                if how == "release":
                    real.release()
                    self.things.remove(thing)
                    return
                made = (np.asarray(real), model) if how == "asarray" else (real[at:], model[at:])
            else:
                made = memoryview(real), model
        except ALLOWED:
            return
        if made[0] is not None:
            self.add(thing.memory, *made)

    def derived(self, how, at, array):
        match how:
            case "slice":
                return array[at:] if array.ndim else array[...]
            case "step":
                return array[::-2] if array.ndim else None
            case "T":
                return array.T
            case "view":
                return array.view("u1")
            case "asarray":
                return np.asarray(array)
            case "memoryview":
                return np.asarray(memoryview(array))
            case "ravel":
                return array.reshape(-1)
            case "reshape":
                return array.reshape((1, *array.shape))
            case "dlpack":
                return np.from_dlpack(array) if array.dtype.names is None and array.dtype.kind in "uifc" else None
            case _:
                return None

    @precondition(lambda self: self.things)
    @rule(which=numbers)
    def pickle_here(self, which):
        thing = self.pick(self.things, which)
        if isinstance(thing.real, areas.AreaArray):
            try:
                again = pickle.loads(pickle.dumps(thing.real))
            except areas.InvalidInput as error:
                assert "without a name" in str(error), error
                return
            except areas.HolderGone as error:
                # The area was closed: its name was taken back.
                assert all(area.closed or memory is not thing.memory for area, memory in self.areas), error
                return
            self.add(thing.memory, again, thing.model)

    @precondition(lambda self: self.areas)
    @rule(which=numbers, write=st.booleans(), keep=st.booleans())
    def find(self, which, write, keep):
        area, memory = self.pick(self.areas, which)
        if area.closed or area.name is None:
            return
        try:
            found = areas.find(area.name, write=write, keep_name=keep)
        except (areas.Frozen, areas.ReadOnly, areas.NotFound):
            return
        if found.nbytes == area.nbytes and len(self.areas) < 12:
            self.areas.append((found, memory))

    # Changing.

    @precondition(lambda self: self.things)
    @rule(which=numbers, value=st.integers(0, 255))
    def write(self, which, value):
        thing = self.pick(self.things, which)
        real, model = thing.real, thing.model
        if isinstance(real, np.ndarray):
            if not real.flags.writeable or not real.size:
                return
            flat = (0,) * real.ndim
            item = np.zeros(1, real.dtype)
            item.view("u1")[:] = value if real.dtype.kind != "S" else value % 26 + 65
            real[flat], model[flat] = item[0], item[0]
        elif isinstance(real, memoryview):
            if real.readonly or not len(real) or real.format != "B":
                return
            real[-1] = value
            model[-1] = value

    @precondition(lambda self: self.areas)
    @rule(which=numbers, rows=st.integers(0, 80))
    def grow(self, which, rows):
        area, memory = self.pick(self.areas, which)
        try:
            array = area.grow((rows, *area.shape[1:]))
        except ALLOWED:
            return
        self.add(memory, array, np.ndarray(area.shape, area.dtype, memory.model))

    @precondition(lambda self: self.areas)
    @rule(which=numbers)
    def freeze(self, which):
        area, memory = self.pick(self.areas, which)
        try:
            area.freeze(timeout=0)
        except (areas.Busy, areas.Closed, areas.Frozen, areas.ReadOnly):
            return
        memory.frozen = True

    # Letting go.

    @precondition(lambda self: self.areas)
    @rule(which=numbers, how=st.sampled_from(["close", "unlink", "drop", "with"]))
    def close(self, which, how):
        entry = self.pick(self.areas, which)
        area, _ = entry
        if how == "drop":
            self.areas.remove(entry)
        elif how == "with":
            with area:
                pass
        elif not area.closed:
            area.close() if how == "close" else area.unlink()

    @precondition(lambda self: self.things)
    @rule(which=numbers)
    def drop(self, which):
        self.things.pop(which % len(self.things))

    @rule(close=st.booleans())
    def let_slab_go(self, close):
        if self.slab is not None:
            self.slab.collect()
            if close:
                self.slab.close()
                self.slab = None

    @rule()
    def collect(self):
        gc.collect()

    @rule(seed=st.integers(0, 19))
    def fork(self, seed):
        # Not each time: it takes longer than all else.
        if seed:
            return
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self.all_is_equal()
                for area, _ in self.areas:
                    area.close()
                self.areas.clear()
                self.things.clear()
                gc.collect()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0

    @rule(which=numbers, first=st.integers(-5, 1 << 70), second=st.integers(-5, 1 << 70))
    def nonsense(self, which, first, second):
        """Arguments that make no sense end with an error, and change nothing."""
        calls = [
            lambda: areas.create(shape=(first, second)),
            lambda: areas.create(nbytes=first, dtype="V7", max_shape=second),
            lambda: areas.find(str(first)),
            lambda: areas.Slab(None, first % 5000),
            lambda: areas.create(shape=3, dtype=object),
            lambda: areas.put(np.array([None])),
            lambda: areas.find("\0"),
        ]
        calls += [lambda: areas.Slab(None, 4096, slots=first), lambda: areas.Slab(None, 4096, readers=second)]
        if self.areas:
            area, _ = self.pick(self.areas, which)
            calls += [lambda: area.grow((first, second)), lambda: area.freeze("x"), lambda: np.ndarray((second,), "u1", area.memory, first)]
        try:
            calls[which % len(calls)]()
        except (*ALLOWED, OverflowError, MemoryError, AttributeError):
            pass

    @invariant()
    def all_is_equal(self):
        for thing in self.things:
            real = thing.real
            if not isinstance(real, np.ndarray):
                real = np.asarray(memoryview(real))
                model = thing.model.view(real.dtype)
            else:
                model = thing.model
            assert real.shape == model.shape and real.dtype == model.dtype, (real.shape, model.shape, real.dtype, model.dtype)
            assert real.tobytes() == model.tobytes(), (real, model)
            if thing.memory.frozen:
                assert not real.flags.writeable


def main():
    examples, steps = int(sys.argv[1]), int(sys.argv[2])
    how = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=len(sys.argv) < 4,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Calls, settings=how)
    gc.collect()
    # What was sent and has arrived is released at the sender's next call.
    sender = areas._slab._outbox
    if sender is not None:
        sender.collect()
    gc.collect()
    with open("/proc/self/maps") as maps:
        left = [line for line in maps if "/memfd:area:" in line and "on the way" not in line]
    assert not left, left
    print(f"{examples} sequences")


if __name__ == "__main__":
    main()
