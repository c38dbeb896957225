"""Areas that are offered at a socket and taken there."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import areas

TAKER = """
import areas, sys
with areas.take(sys.argv[1], 10) as area:
    area.array[0, 1] += 1
    print(area.shape, area.dtype, area.note, area.array.sum(), area.readonly, area.id)
"""


def test_another_process_takes_it_with_dtype_and_shape(tmp_path):
    path = tmp_path / "socket"
    with areas.create(f"gate {os.getpid()}", shape=(2, 3), dtype="f4", note="of a test") as area:
        area.array[:] = 5
        with areas.offer(area, path) as offer:
            taker = subprocess.Popen([sys.executable, "-c", TAKER, path], stdout=subprocess.PIPE, text=True)
            answer = offer.answer(30)
            assert answer == areas.Answer("given", os.geteuid(), taker.pid, None)
            out, _ = taker.communicate(timeout=30)
            assert out == "(2, 3) float32 of a test 31.0 False None\n"
            assert area.array[0, 1] == 6
            assert offer.answer(0) is None and offer.answer(0.05) is None
            assert repr(offer) == f"<areas.Offer at {str(path)!r}>"
        assert not path.exists() and repr(offer) == "<areas.Offer closed>"
        assert offer.answer() is None
        with pytest.raises(areas.NotFound):
            areas.take(path)
        with pytest.raises(areas.TimedOut):
            areas.take(path, 0.1)


def test_served_in_a_thread(tmp_path):
    path = tmp_path / "socket"
    with areas.put(np.arange(10), name=f"gate {os.getpid()} frozen") as area:
        offer = areas.offer(area, path, to=[os.geteuid(), 12345], read_only=True)
        thread = threading.Thread(target=offer.serve)
        thread.start()
        for _ in range(3):
            with areas.take(path, users=os.geteuid()) as again:
                assert again.frozen and again.array.sum() == 45
        with pytest.raises(areas.NotPermitted):
            areas.take(path, users=[12345])
        with pytest.raises(areas.Limit):
            areas.take(path, users="any", max_nbytes=8)
        offer.close()
        thread.join(30)
        assert not thread.is_alive() and not path.exists()


def test_what_is_refused(tmp_path):
    path = tmp_path / "socket"
    with areas.create(shape=3) as unnamed, pytest.raises(areas.NotFound):
        areas.offer(unnamed, path)
    with areas.create(f"gate {os.getpid()} refused", shape=3) as area:
        with pytest.raises(areas.NotPermitted):
            areas.offer(area, path, read_only=True)
        with pytest.raises(ValueError):
            areas.offer(area, path, to="root")
        with pytest.raises(areas.InvalidInput):
            areas.offer(area, None)
        assert not path.exists()
        with areas.offer(area, path, to=12345) as offer:
            with pytest.raises(areas.Busy):
                areas.offer(area, path)
            taker = subprocess.Popen([sys.executable, "-c", TAKER, path], stderr=subprocess.PIPE, text=True)
            answer = offer.answer(30)
            assert answer.outcome == "refused" and answer.reason == "it is not offered to that user"
            assert "it is not offered to user" in taker.communicate(timeout=30)[1]
        with areas.offer(area, path, seal=True) as offer:
            thread = threading.Thread(target=offer.serve)
            thread.start()
            with areas.take(path) as again:
                assert again.readonly
            offer.close()
            thread.join(30)
