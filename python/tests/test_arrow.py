"""Arrow tables in areas: where their bytes lie, and who may read them."""

from __future__ import annotations

import subprocess
import sys

import areas
import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")

import areas.arrow  # noqa: E402


def table(rows: int = 1000) -> pa.Table:
    return pa.table(
        {
            "n": np.arange(rows),
            "x": np.linspace(0, 1, rows),
            "word": [f"word {n % 7}" for n in range(rows)],
            "kind": pa.array([f"k{n % 3}" for n in range(rows)]).dictionary_encode(),
            "some": pa.array([n if n % 2 else None for n in range(rows)]),
            "list": [[n, n + 1] for n in range(rows)],
        }
    )


def buffers(data: pa.Table):
    for column in data.columns:
        for chunk in column.chunks:
            chunks = [chunk]
            while chunks:
                one = chunks.pop()
                if isinstance(one, pa.DictionaryArray):
                    chunks.append(one.dictionary)
                yield from (buffer for buffer in one.buffers() if buffer is not None and buffer.size)


def lies_in(buffer: pa.Buffer, start: int, size: int) -> bool:
    return start <= buffer.address and buffer.address + buffer.size <= start + size


def test_a_table_comes_back_over_the_areas_memory():
    given = table()
    with areas.arrow.put(given, "arrow: table") as held:
        assert held.frozen
        found = areas.find("arrow: table")
        got = areas.arrow.read(found)
        assert got.equals(given) and got.schema == given.schema
        memory = found.memory
        every = list(buffers(got))
        assert len(every) > 8
        assert all(lies_in(buffer, memory.address, memory.nbytes) for buffer in every)
        assert not any(buffer.is_mutable for buffer in every)


def test_a_table_outlives_the_area_and_its_name():
    held = areas.arrow.put(table(), "arrow: lives")
    got = areas.arrow.get("arrow: lives")
    held.close()
    del held
    assert got.equals(table())


def test_another_process_reads_it():
    program = "import areas.arrow; t = areas.arrow.get('arrow: other'); print(t.num_rows, sum(t['n'].to_pylist()))"
    with areas.arrow.put(table(), "arrow: other"):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1000", "499500"]


@pytest.mark.parametrize("data", ["batch", "reader", "dict", "batches", "empty"])
def test_other_kinds_of_tables(data):
    whole = table()
    given = {
        "batch": whole.to_batches()[0],
        "reader": pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=100)),
        "dict": {"a": [1, 2], "b": ["x", None]},
        "batches": whole.to_batches(max_chunksize=100),
        "empty": whole.slice(0, 0),
    }[data]
    expected = {"dict": pa.table({"a": [1, 2], "b": ["x", None]}), "empty": whole.slice(0, 0)}.get(data, whole)
    with areas.arrow.put(given, f"arrow: {data}"):
        assert areas.arrow.get(f"arrow: {data}", validate="full").equals(expected)


def test_pandas_there_and_back():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100)}, index=pd.Index(range(5, 105), name="row"))
    with areas.arrow.put(frame, "arrow: pandas"):
        found = areas.find("arrow: pandas")
        back = areas.arrow.read(found).to_pandas(split_blocks=True)
        pd.testing.assert_frame_equal(back, frame)
        address = back["x"].to_numpy().__array_interface__["data"][0]
        assert found.memory.address <= address < found.memory.address + found.nbytes
        assert not back["x"].to_numpy().flags.writeable


def test_polars_there_and_back():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"x": np.arange(100.0), "word": [f"w{n}" for n in range(100)]})
    with areas.arrow.put(frame, "arrow: polars"):
        found = areas.find("arrow: polars")
        back = pl.from_arrow(areas.arrow.read(found))
        assert back.equals(frame)
        address = back["x"].to_numpy().__array_interface__["data"][0]
        assert found.memory.address <= address < found.memory.address + found.nbytes


def test_what_is_no_table_is_said():
    for data in ("text", 5, [1, 2], object()):
        with pytest.raises(areas.InvalidInput, match="cannot make a table"):
            areas.arrow.put(data, "arrow: none")
    with areas.put(np.arange(100), "arrow: numbers"), pytest.raises(areas.InvalidInput, match="cannot read a table"):
        areas.arrow.get("arrow: numbers")


def test_what_may_still_change_is_refused():
    with areas.arrow.put(table(), "arrow: open", freeze=False):
        with pytest.raises(areas.Busy, match="not frozen"):
            areas.arrow.get("arrow: open")
        assert areas.arrow.get("arrow: open", frozen=False).equals(table())


def test_spoilt_bytes_are_an_error_and_no_crash():
    with areas.arrow.put(table(10), "arrow: whole") as whole:
        good = bytes(whole.buf)
    random = np.random.default_rng(7)
    errors = 0
    for _ in range(200):
        bad = bytearray(good)
        # The messages' own fields: schema and lengths.
        for at in random.integers(0, min(len(bad), 2048), 4):
            bad[at] = random.integers(0, 256)
        area = areas.put(np.frombuffer(bad, "u1"))
        try:
            areas.arrow.read(area, validate="full")
        except areas.InvalidInput:
            errors += 1
    assert errors > 50


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "f4", "f8", "M8[ns]", "m8[s]", "S5", "V3"])
def test_an_array_is_an_arrow_array_over_the_same_bytes(dtype):
    area = areas.create(shape=(7,), dtype=dtype)
    area.array.view("u1")[...] = np.arange(area.nbytes) % 100
    arrow = area.to_arrow()
    assert arrow.buffers()[1].address == area.memory.address
    assert len(arrow) == 7
    if np.dtype(dtype).kind in "iuf":
        assert arrow.to_numpy(zero_copy_only=True).tolist() == area.array.tolist()


def test_more_dimensions_are_tensors():
    area = areas.create(shape=(5, 2, 3), dtype="f4")
    area.array[...] = np.arange(30).reshape(5, 2, 3)
    tensors = area.to_arrow()
    assert tensors.type == pa.fixed_shape_tensor(pa.float32(), (2, 3))
    back = tensors.to_numpy_ndarray()
    assert back.tolist() == area.array.tolist()
    assert back.__array_interface__["data"][0] == area.memory.address


@pytest.mark.parametrize("dtype", ["?", ">i4", "c16", [("a", "i4"), ("b", "f8")]])
def test_layouts_that_arrow_lacks(dtype):
    with pytest.raises(areas.InvalidInput, match="Arrow has no type"):
        areas.create(shape=(3,), dtype=dtype).to_arrow()
    with pytest.raises(areas.InvalidInput, match="no dimension"):
        areas.create(shape=(), dtype="i4").to_arrow()
