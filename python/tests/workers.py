"""What other processes run in these tests: importable by spawned ones."""

import os

import numpy as np

import areas


def total(array):
    """The sum, the type's name, whether it may be written, and how many areas are mapped."""
    with open("/proc/self/maps") as maps:
        mapped = sum("/memfd:area:" in line for line in maps)
    return float(np.asarray(array, "f8").sum()), type(array).__name__, array.flags.writeable, mapped


def write(array, value):
    array[...] = value
    return os.getpid()


def write_to(queue):
    array = queue.get()
    array[...] = 5
    queue.task_done() if hasattr(queue, "task_done") else None


def handed(connection):
    """Gets an array over a pipe, adds 1, says what it got."""
    array = connection.recv()
    array += 1
    connection.send((type(array).__name__, array.shape, float(array.sum())))


def area_sum(area):
    return float(area.array.sum()), area.name, area.readonly


def ends_at_once(name, ready):
    """Makes an area, gives its pickled array, and waits to be killed."""
    import pickle

    area = areas.create(name, shape=4, dtype="f8")
    ready.send(pickle.dumps(area.array))
    ready.recv()
