"""Areas: made, found, frozen, grown, closed; lifetime by reference."""

import gc
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import areas

from conftest import mapped_areas


def holders_of(name):
    return [info for info in areas.list() if info.name == name]


def test_what_is_written_is_found(name):
    with areas.create(name, shape=(3, 4), dtype="f8") as a:
        a.array[1, 2] = 42.0
        with areas.find(name) as found:
            assert found.readonly
            assert found.shape == (3, 4) and found.dtype == "f8" and found.array[1, 2] == 42.0
            assert not found.array.flags.writeable
    assert holders_of(name) == []


def test_another_process_finds_it(name):
    with areas.create(name, shape=5, dtype="u1") as a:
        a.array[:] = [1, 2, 3, 4, 5]
        code = f"import areas; print(bytes(areas.find({name!r}).buf))"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert out.stdout.strip() == repr(bytes([1, 2, 3, 4, 5]))


def test_arrays_outlive_the_area_and_then_the_mapping_goes(name):
    before = mapped_areas()
    a = areas.create(name, shape=1000, dtype="i4")
    view = a.array[10:20]
    window = memoryview(a.memory)
    a.close()
    view[:] = 7
    assert window[40] == 7
    assert mapped_areas() == before + 1
    del view
    assert mapped_areas() == before + 1
    del window
    gc.collect()
    assert mapped_areas() == before


def test_a_frozen_area_is_read_only_here_too(name):
    a = areas.create(name, shape=10, dtype="u2")
    a.array[:] = 5
    a.freeze()
    assert a.frozen and not a.array.flags.writeable
    with pytest.raises(ValueError):
        a.array[0] = 1
    with pytest.raises(ValueError):
        a.array.flags.writeable = True
    with pytest.raises(areas.Frozen):
        a.freeze()
    assert areas.find(name).frozen


def test_freeze_counts_who_may_write_in_this_process(name):
    a = areas.create(name, shape=10, dtype="u2")
    kept = a.array[2:4]
    with pytest.raises(areas.Busy, match="object of this process can still write it") as caught:
        a.freeze(timeout=0.05)
    assert caught.value.errno == 16 and "del" in caught.value.remedy
    kept[0] = 3
    del kept
    assert a.freeze().array[2] == 3


def test_freeze_names_another_process(name):
    with areas.create(name, nbytes=4096) as a:
        code = (
            f"import areas; a = areas.find({name!r}, write=True)\n"
            "b = a.array; print(flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            other.stdout.readline()
            with pytest.raises(areas.Busy, match=str(other.pid)):
                a.freeze(timeout=0.05)
            other.communicate("\n")
        a.freeze()


def test_it_grows_for_all(name):
    a = areas.create(name, shape=(2, 3), dtype="i8", max_shape=(100, 3))
    a.array[:] = 1
    other = areas.find(name)
    grown = a.grow((100, 3))
    assert grown.shape == (100, 3) and grown.sum() == 6
    grown[99, 2] = 9
    assert other.nbytes == 4096 and other.shape == (2, 3)
    assert other.grow((100, 3))[99, 2] == 9
    assert areas.find(name, dtype="i8").array[299] == 9
    assert areas.find(name).array[99, 2] == 9
    with pytest.raises(areas.InvalidInput):
        a.grow((10000, 3))


def test_errors_are_oserrors_with_a_remedy(name):
    with pytest.raises(areas.NotFound) as caught:
        areas.find(name)
    assert isinstance(caught.value, FileNotFoundError) and isinstance(caught.value, areas.Error)
    assert caught.value.errno == 2 and name in str(caught.value)
    with pytest.raises(areas.TimedOut):
        areas.wait(name, 0.05)
    with pytest.raises(areas.InvalidInput):
        areas.create(name, shape=3, dtype=object)
    a = areas.create(name, nbytes=10)
    a.close()
    a.close()
    with pytest.raises(areas.Closed):
        _ = a.array


def test_put_copies_and_freezes(name):
    data = np.arange(24, dtype="f4").reshape(2, 3, 4)
    a = areas.put(data, name)
    assert a.frozen and (a.array == data).all() and a.array.shape == (2, 3, 4)
    assert type(a.array + 1) is np.ndarray


def test_empty_arrays(name):
    a = areas.create(name, shape=(0, 3), dtype="f8")
    assert a.array.shape == (0, 3) and a.nbytes == 0


def test_notes_are_of_who_is_found_and_checked(name):
    with areas.create(name, shape=(2, 3), dtype="f4", note="grüße") as a:
        info = holders_of(name)[0]
        assert (info.shape, info.dtype, info.nbytes, info.pid) == ((2, 3), np.dtype("f4"), 24, os.getpid())
        assert areas.find(name).note == "grüße"
        a.note = "other"
        assert areas.find(name).note == "other" and areas.find(name).shape == (2, 3)
        with pytest.raises(areas.InvalidInput, match="256"):
            a.note = "x" * 300
        assert a.note == "other"
        found = areas.find(name, dtype="u1", shape=(4, 2))
        assert found.shape == (4, 2)
        for wrong in ({"dtype": "f8", "shape": (9, 9)}, {"shape": -1}, {"dtype": "O"}, {"shape": 1 << 70}):
            with pytest.raises(areas.InvalidInput):
                areas.find(name, **wrong)


HOSTILE = [
    b'["<f8",[3]]',
    b'["O",[1]]',
    b'["|O8",[1]]',
    b'["<f8",[1000000]]',
    b'["<f8",[4611686018427387904,4]]',
    b'["<f8",[-1]]',
    b'["<f8",[1.5]]',
    b'["<f8",[true]]',
    b'["<f8",3]',
    b'["<f8"]',
    b'{"a":1}',
    b'["__import__(\'os\')",[1]]',
    b'["V0",[1]]',
    b'["S0",[1]]',
    b'["<f8",[1],7]',
    b'["<M8[xs]",[1]]',
    b'["(1000000000,)<f8",[1]]',
    b'["<f8,O",[1]]',
    b'[{"n":["a"],"f":["<f8"],"o":[4],"i":8},[1]]',
    b'[{"n":["a","a"],"f":["u1","u1"],"o":[0,1],"i":8},[1]]',
    b'[{"n":["a"],"f":["|O8"],"o":[0],"i":8},[1]]',
    b'[{"n":["a"],"f":["<f8"],"o":[-8],"i":8},[1]]',
    b'[{"n":["a"],"f":["<f8"],"o":[0],"i":99999999999},[1]]',
    b"[" * 250,
    b'[[[[[[[[[[["<f8",[1]],[1]],[1]],[1]],[1]],[1]],[1]],[1]],[1]],[1]],[1]]',
    b"\xff\xfe",
    b"",
    b"null",
    b"1e999",
]


@pytest.mark.parametrize("note", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_notes_are_refused(name, note):
    with areas.create(name, nbytes=16) as a:
        a._holding.set_note(b"numpy:" + note)
        with pytest.raises(areas.InvalidInput, match="its note describes no array") as caught:
            areas.find(name)
        assert "dtype='u1'" in caught.value.remedy
        assert areas.find(name, dtype="u1").shape == (16,)
        assert holders_of(name)[0].shape is None


def test_notes_of_others_are_bytes(name):
    with areas.create(name, nbytes=16) as a:
        for note in (b"", b"f8 (2,)", b"\0\xff", b"numpy"):
            a._holding.set_note(note)
            found = areas.find(name)
            assert found.shape == (16,) and found.dtype == "u1" and holders_of(name)[0].note == note


def test_retired_memory_is_found_by_no_process(name):
    with areas.create(name, shape=3) as a, areas.find(name) as b:
        a.retire()
        with pytest.raises(areas.NotFound):
            areas.find(name)
        a.array[:] = 4
        assert b.array.sum() == 12


def test_resizable_areas_have_no_arrays_here(name):
    """What may shrink could take an array's memory away: it is refused. (Made by the command, where
    it is built.)"""
    import shutil

    command = os.environ.get("AREAS_COMMAND") or shutil.which("areas")
    if command is None:
        pytest.skip("SKIPPED: the areas command is not in PATH")
    with subprocess.Popen(
        [command, "create", "--size", "64K", "--name", name, "--resizable", "1M"], stdout=subprocess.DEVNULL
    ) as holder:
        with pytest.raises(areas.Unsupported):
            areas.wait(name, 10)
        holder.kill()


def test_exclusive_names(name):
    with areas.create(name, shape=3, exclusive=True) as a:
        for make in (
            lambda: areas.create(name, shape=3, exclusive=True),
            lambda: areas.create(name, shape=3, exclusive=True, populate=True),
            lambda: areas.put([1], name, exclusive=True),
        ):
            with pytest.raises(areas.NameTaken) as caught:
                make()
            assert isinstance(caught.value, FileExistsError) and name in str(caught.value)
        assert areas.open_or_create(name, shape=3).array.size == 3
        a.array[0] = 1
        assert areas.open_or_create(name).array[0] == 1
        for other in ({"shape": 4}, {"shape": 3, "dtype": "f8"}, {"nbytes": 7}):
            with pytest.raises(areas.InvalidInput, match="it is there"):
                areas.open_or_create(name, **other)
    with areas.open_or_create(name, shape=3) as a:
        assert not a.readonly
    with areas.put(np.arange(5), name, exclusive=True) as a:
        assert a.frozen
        with pytest.raises(areas.Frozen):
            areas.open_or_create(name, shape=5, dtype="i8")
        assert areas.open_or_create(name, shape=5, dtype="i8", write=False).array.sum() == 10


def test_one_of_many_makes_it(name):
    """Twelve processes at once, ten rounds: all have the same memory."""
    code = (
        "import areas, sys\n"
        "for turn in range(10):\n"
        "    sys.stdin.readline()\n"
        f"    a = areas.open_or_create({name!r} + str(turn), shape=1000, dtype='i8')\n"
        "    print(a._holding.inode, flush=True)\n"
        "    sys.stdin.readline()\n"
        "    del a\n"
        "    print(flush=True)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(12)
    ]
    try:
        for _ in range(10):
            for wanted in (1, None):
                for process in processes:
                    process.stdin.write("\n")
                    process.stdin.flush()
                reported = {process.stdout.readline() for process in processes}
                assert len(reported) == 1 and (reported == {"\n"}) == (wanted is None), reported
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_names_are_text_or_bytes():
    for name in (7, 10**12, 1.5, True, object()):
        with pytest.raises(TypeError, match="a name is text or bytes"):
            areas.create(name, nbytes=8)
        with pytest.raises(TypeError, match="a name is text or bytes"):
            areas.find(name)


def test_an_area_is_never_of_objects(name):
    with areas.create(name, nbytes=64) as area:
        with pytest.raises(TypeError, match="not Python objects"):
            areas.Area(area._holding, (8,), np.dtype(object), None)


@pytest.mark.parametrize(
    "asked",
    [
        {"shape": (2, 3)}, {"shape": [2, 3], "dtype": float}, {"shape": 6, "dtype": "<f4"}, {"shape": (), "dtype": ">i2"},
        {"shape": (0, 4), "dtype": "f8"}, {"nbytes": 12, "dtype": "u4"}, {"shape": (1,) * 12, "dtype": "i8"},
        {"shape": (np.int64(2), 3), "dtype": np.dtype("c16")}, {"shape": 3, "dtype": "M8[ns]"}, {"shape": 3, "dtype": "U5"},
        {"shape": 3, "dtype": np.dtype("f8", metadata={"of": "mine"})}, {"nbytes": 16, "note": "shown"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_asked_for_plainly_is_what_is_asked_for_otherwise(name, asked):
    """The first time Python answers, and then the extension, which knows the dtype by then."""
    for _ in range(3):
        with areas.create(name, **asked) as area, areas.find(name) as found, areas.find(name, write=True) as again:
            wanted = np.dtype(asked.get("dtype", "u1"))
            shape = asked.get("shape", asked.get("nbytes", 0) // wanted.itemsize)
            shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
            for one in (area, found, again):
                assert (one.shape, one.dtype, one.note) == (shape, wanted, asked.get("note"))
                assert all(type(dim) is int for dim in one.shape)
            assert area.dtype.metadata == wanted.metadata
            back = pickle.loads(pickle.dumps(area.array))
            assert (back.shape, back.dtype, back.strides, back.flags.writeable) == (shape, wanted, area.array.strides, True)
