"""Areas over sockets, and what a person sees of one."""

import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

import areas
from conftest import mapped_areas


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_sent_with_dtype_shape_and_text(pair):
    with areas.create(shape=(2, 3), dtype="f4", note="of a test") as area:
        area.array[:] = 5
        areas.send(pair[0], area)
        areas.send(pair[0], area, read_only=True)
        with areas.receive(pair[1]) as again:
            assert again.shape == (2, 3) and again.dtype == "f4" and not again.readonly
            assert again.note == "of a test"
            again.array[0, 0] = 7
            assert area.array[0, 0] == 7
        with areas.receive(pair[1], 5.0) as again:
            assert again.readonly and again.array[0, 0] == 7
            with pytest.raises(ValueError):
                again.array[0, 0] = 1


def test_it_lives_on_its_way(pair):
    areas.send(pair[0], areas.put(np.arange(10)))
    with areas.receive(pair[1]) as area:
        assert area.frozen and area.array.sum() == 45


def test_to_another_process(pair):
    code = (
        "import areas, socket, sys; s = socket.socket(fileno=int(sys.argv[1])); a = areas.receive(s, 10)\n"
        "a.array[...] += 1; print(a.array.sum())"
    )
    with areas.create(shape=(3, 3), dtype="i4") as area:
        areas.send(pair[0], area)
        fd = pair[1].fileno()
        out = subprocess.run(
            [sys.executable, "-c", code, str(fd)], pass_fds=[fd], capture_output=True, text=True, check=True
        )
        assert out.stdout == "9\n" and area.array.sum() == 9


def test_what_is_wrong_with_a_socket(pair):
    with pytest.raises(areas.TimedOut):
        areas.receive(pair[1], 0.05)
    with areas.create(shape=10_000) as area:
        areas.send(pair[0], area)
        with pytest.raises(areas.Limit) as caught:
            areas.receive(pair[1], max_nbytes=100)
        assert caught.value.remedy
        areas.receive(pair[1]).close()
        pair[0].sendall(b"nonsense")
        with pytest.raises(areas.InvalidInput, match="is not of this library"):
            areas.receive(pair[1], 1.0)
        pair[1].close()
        with pytest.raises(areas.Error) as caught:
            areas.send(pair[0], area)
        assert caught.value.errno == 32
        with pytest.raises(areas.InvalidInput, match="descriptor -1"):
            areas.receive(pair[1])


def test_repr_and_html(name):
    area = areas.create(name, shape=(1000, 10), dtype="f8")
    assert repr(area) == f"<areas.Area {name!r}: 1000x10 float64, 78.12 KiB, writable>"
    area.array[:] = 1
    html = area._repr_html_()
    assert "<table>" in html and "80 KiB of 80 KiB" in html and re.search("node 0: 80 KiB", html)
    area.freeze()
    assert "frozen" in repr(area)
    area.close()
    assert repr(area) == "<areas.Area, closed>" and "closed" in area._repr_html_()
    with areas.create("<b>&", shape=3) as area:
        assert "<b>" not in area._repr_html_() and "&lt;b&gt;&amp;" in area._repr_html_()
        areas.find("<b>&").close()


def test_residency_is_what_the_kernel_says(name):
    with areas.create(name, nbytes=4 << 20) as area:
        measured = area.residency()
        assert (measured.size, measured.resident, measured.absent) == (4 << 20, 0, 4 << 20)
        area.array[: 1 << 20] = 1
        measured = area.residency()
        assert measured.resident == 1 << 20 and sum(measured.nodes.values()) == 1 << 20
        assert [(run.start, run.stop, run.place) for run in measured.runs] == [
            (0, 1 << 20, "node"),
            (1 << 20, 4 << 20, "absent"),
        ]
        assert "1.00 MiB of 4.00 MiB" in str(measured)
        with open("/proc/self/smaps") as smaps:
            text = smaps.read().split(f"/memfd:area:{name}", 1)[1]
        assert int(re.search(r"Rss:\s+(\d+) kB", text).group(1)) << 10 == 1 << 20
        area.populate()
        assert area.residency().resident == 4 << 20
        verified = area.verify()
        assert verified and verified.holds and verified.in_place == 4 << 20 and verified.share == 1.0


def test_placing_and_moving(name):
    node = areas.nodes()[0]
    assert node.allowed and node.cpus and node.total > node.free > 0 and node.distances[node.node] == 10
    with areas.create(name, nbytes=1 << 20, policy="interleave", nodes="all", populate=True) as area:
        assert area.placement.startswith("interleave:") and area.verify()
        moved = area.move(str(node.node), policy="bind")
        assert moved.placed and moved.verification and area.placement == f"bind:{node.node}"
        assert "moved" in str(moved) and moved.stayed == []
        granted = area.granted
        assert granted.mapped == 1 << 20 and granted.page_size == os.sysconf("SC_PAGE_SIZE") and granted.fallbacks == []
        assert area.lock == "none"
    for wrong in ({"nodes": "1023"}, {"policy": "sideways"}, {"huge": "3K"}, {"lock": "bolt"}, {"nodes": "x"}):
        with pytest.raises(areas.Error) as caught:
            areas.create(name, nbytes=4096, **wrong)
        assert isinstance(caught.value, ValueError)


def test_a_lock_is_the_kernels(name):
    with areas.create(name, nbytes=64 << 10, lock="full") as area:
        assert area.lock == "full"
        with open("/proc/self/smaps") as smaps:
            text = smaps.read().split(f" {area._holding.inode} ", 1)[1]
        assert int(re.search(r"Locked:\s+(\d+) kB", text).group(1)) == 64


def test_huge_pages_or_what_was_given_instead(name):
    with areas.create(name, nbytes=4 << 20, huge="prefer:2M") as area:
        assert area.granted.page_size == 2 << 20 or area.granted.fallbacks[0].given == "base pages"
        assert area.granted.fallbacks == [] or "2 MiB" in area.granted.fallbacks[0].asked


def test_the_map_as_text(name, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with areas.create(name, nbytes=1 << 20) as area:
        area.array[: 512 << 10] = 1
        assert area.show(width=32) is None
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == repr(area)
        body = "".join(lines[1:-1])
        assert set(body[: len(body) // 2]) == {"0"} and set(body[len(body) // 2 :]) == {"."}
        assert "0: node 0, 512 KiB" in lines[-1] and ".: not in RAM, 512 KiB" in lines[-1]


def test_the_map_as_a_figure(name):
    matplotlib = pytest.importorskip("matplotlib", reason="SKIPPED: matplotlib is not installed")
    matplotlib.use("agg")
    with areas.create(name, nbytes=1 << 20) as area:
        area.array[: 512 << 10] = 1
        figure = area.show()
        assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["not in RAM", "node 0"]
        matplotlib.pyplot.close(figure)


def test_the_command(tmp_path):
    run = lambda path, *words: subprocess.run(  # noqa: E731
        [sys.executable, "-m", "areas", *words], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    none = run(str(tmp_path))
    assert none.returncode == 127 and "not in PATH" in none.stderr and "help:" in none.stderr
    command = tmp_path / "areas"
    command.write_text("#!/bin/sh\necho \"$0 $@\"\nexit 3\n")
    command.chmod(0o755)
    there = run(f"{tmp_path}:/bin:/usr/bin", "ls", "--json")
    assert there.returncode == 3 and there.stdout.endswith("areas ls --json\n")
    assert mapped_areas() == 0
