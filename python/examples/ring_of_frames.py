"""A ring of frames: a camera writes, a viewer reads the newest one, and neither waits for the
other.

Each slot has a number in front: odd while the slot is being written. Who reads looks at it before
and after, and begins again if it has changed.
"""

import multiprocessing
import time

import areas
import numpy as np

SLOTS, HEIGHT, WIDTH = 8, 480, 640
FRAME = np.dtype([("number", "i8"), ("pixels", "u1", (HEIGHT, WIDTH))])
FRAMES = 200


def camera(name, ready, seen):
    ring = areas.create(name, shape=SLOTS, dtype=FRAME)
    slots = ring.array
    ready.set()
    for number in range(1, FRAMES + 1):
        slot = slots[number % SLOTS]
        slot["number"] = 2 * number - 1
        slot["pixels"][:] = number % 256
        slot["number"] = 2 * number
        time.sleep(0.002)
    # The ring lives as long as a process holds it: until the viewer has seen the end.
    seen.wait(30)


def newest(slots, after):
    """The newest whole frame: its number, and a copy."""
    while True:
        number = int(slots["number"].max())
        if number % 2 == 0 and number > after:
            slot = slots[number // 2 % SLOTS]
            pixels = slot["pixels"].copy()
            if slot["number"] == number:
                return number, pixels
        time.sleep(0.0005)


def main():
    context = multiprocessing.get_context("fork")
    name = f"example-ring-{multiprocessing.current_process().pid}"
    ready, done = context.Event(), context.Event()
    process = context.Process(target=camera, args=(name, ready, done))
    process.start()
    ready.wait(30)
    # For reading only: the viewer cannot spoil the ring.
    slots = areas.find(name).array
    number, seen = 0, 0
    while number < 2 * FRAMES:
        number, pixels = newest(slots, number)
        assert (pixels == number // 2 % 256).all(), "half of one frame and half of another"
        seen += 1
    done.set()
    process.join()
    print(f"{seen} of {FRAMES} frames seen, all of them whole")


if __name__ == "__main__":
    main()
