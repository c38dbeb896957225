"""Areas of other machines: served and fetched over Arrow Flight; pyarrow as the client,
unmodified."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import areas

pytestmark = pytest.mark.skipif(
    shutil.which("areas-flight") is None, reason="areas-flight is not in PATH: `cargo build -p areas-flight` makes it"
)

ELSEWHERE = """
import areas, sys
with areas.fetch(sys.argv[1], "fetched", token_file=sys.argv[2], policy="interleave", nodes="all") as area:
    again = areas.find("fetched")
    print(area.shape, area.dtype, area.note, area.frozen, int(again.array.sum()), area.placement.partition(":")[0])
"""


@pytest.fixture
def token(tmp_path):
    return tmp_path / "token"


def object_of(area):
    """Device and inode of its memory, from the kernel."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            addresses, _, _, device, inode, *_ = line.split()
            if int(addresses.split("-")[0], 16) == area.array.ctypes.data:
                return device, inode
    raise AssertionError("it is not mapped")


def elsewhere(script, arguments, tmp_path):
    """What a script says that sees another registry, as on another machine."""
    registry = tmp_path / "registry"
    registry.mkdir(mode=0o700)
    environment = {**os.environ, "AREAS_DIR": str(registry)}
    ran = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_an_array_comes_with_dtype_and_shape(name, token, tmp_path):
    with areas.put(np.arange(3_000_000, dtype="i4").reshape(1000, 3000), name=name, note="of a test") as area:
        with areas.serve(area, token_file=token) as server:
            assert repr(server) == f"<areas.Server at 127.0.0.1:{server.port}>"
            said = elsewhere(ELSEWHERE, [server.location(name), token], tmp_path)
            total = int(area.array.sum())
            assert said == f"(1000, 3000) int32 of a test True {total} interleave\n"
        assert server.closed and repr(server) == "<areas.Server closed>"


def test_here_it_is_cloned_or_copied(name, token):
    with areas.put(np.arange(1000.0), name=name) as area, areas.serve([name], token_file=token) as server:
        with areas.fetch(server.location(name), token_file=token) as clone:
            assert clone.name is None and object_of(clone) == object_of(area)
            assert np.array_equal(clone.array, area.array) and clone.frozen
        with areas.fetch(server.location(name), f"{name} copy", token_file=token, copy=True) as copy:
            assert np.array_equal(copy.array, area.array) and copy.frozen and object_of(copy) != object_of(area)
            assert {info.name for info in areas.list() if info.pid == os.getpid()} >= {name, f"{name} copy"}


def test_what_is_refused(name, token, tmp_path):
    with pytest.raises(areas.NotFound, match="nothing is offered"):
        areas.serve(f"{name} nothing", token_file=token)
    with pytest.raises(areas.InvalidInput):
        areas.serve([], token_file=token)
    with areas.create(name, nbytes=4096) as live:
        with pytest.raises(areas.Busy, match="not frozen"):
            areas.serve(live, token_file=token)
        live.freeze()
        with areas.serve(live, token_file=token) as server:
            with pytest.raises(areas.NotFound, match="nothing is offered"):
                areas.fetch(server.location("other"), token_file=token)
            with pytest.raises(areas.Limit):
                areas.fetch(server.location(name), token_file=token, max_nbytes=4095)
            other = tmp_path / "other"
            other.touch(mode=0o600)
            other.write_text("0123456789abcdef\n")
            with pytest.raises(areas.NotPermitted, match="not this server's") as caught:
                areas.fetch(server.location(name), token_file=other)
            assert "--token-file" in caught.value.remedy
            location = server.location(name)
        with pytest.raises(areas.Error, match="refused"):
            areas.fetch(location, token_file=token, timeout=1)
    with areas.put(np.arange(3)) as nameless, pytest.raises(areas.NotFound, match="no process publishes"):
        areas.serve(nameless, token_file=token)


def test_without_the_program_the_error_says_how_it_is_installed(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    for call in [lambda: areas.serve("x"), lambda: areas.fetch("127.0.0.1:1/x")]:
        with pytest.raises(areas.Unsupported) as caught:
            call()
        assert "cargo install" in caught.value.remedy


def test_the_server_ends_with_its_process(name, token):
    script = """
import areas, os, sys, time
held = areas.put(b"12345678", name=sys.argv[1])
server = areas.serve(sys.argv[1], token_file=sys.argv[2])
print(server._process.pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", script, name, str(token)], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}/exe"):
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.02)


def flight_client(server, token):
    flight = pytest.importorskip("pyarrow.flight")
    options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.read_bytes().strip())])
    return flight, flight.connect(f"grpc://{server.address}:{server.port}"), options


def test_pyarrow_reads_a_table_with_its_schema(name, token):
    pa = pytest.importorskip("pyarrow")
    import areas.arrow

    words = pa.array(["a", None, "ccc"] * 1000).dictionary_encode()
    table = pa.table({"x": np.arange(3000), "words": words, "lists": [[1, 2], [], None] * 1000})
    with areas.arrow.put(table, name), areas.serve(name, token_file=token) as server:
        flight, client, options = flight_client(server, token)
        with client:
            info = client.get_flight_info(flight.FlightDescriptor.for_path(name), options)
            assert info.schema == table.schema and info.total_records == 3000
            assert client.do_get(info.endpoints[0].ticket, options).read_all() == table
            assert client.get_schema(flight.FlightDescriptor.for_path(name), options).schema == table.schema
        # As bytes it is fetched whole: a table again.
        with areas.fetch(server.location(name), token_file=token, copy=True) as fetched:
            assert areas.arrow.read(fetched, validate="full") == table


def test_pyarrow_reads_bytes(name, token):
    pa = pytest.importorskip("pyarrow")
    array = np.random.default_rng(1).integers(0, 256, (5 << 20) + 3, dtype="u1")
    with areas.put(array, name=name), areas.serve(name, token_file=token) as server:
        flight, client, options = flight_client(server, token)
        with client:
            (info,) = client.list_flights(options=options)
            assert info.descriptor.path == [name.encode()] and info.total_bytes == array.nbytes
            table = client.do_get(info.endpoints[0].ticket, options).read_all()
            assert table.column_names == ["bytes"] and table.num_rows == array.nbytes
            assert np.array_equal(table["bytes"].to_numpy(), array)
            assert table.schema.metadata[b"areas.name"] == name.encode()
            with pytest.raises(flight.FlightUnauthenticatedError, match="no token came"):
                list(client.list_flights())
            with pytest.raises(pa.ArrowInvalid, match="none of this server's"):
                client.do_get(flight.Ticket(b"{}"), options).read_all()
            with pytest.raises(NotImplementedError, match="DoPut"):
                writer, reader = client.do_put(flight.FlightDescriptor.for_path("x"), table.schema, options)
                writer.done_writing()
                reader.read()
                writer.close()


@pytest.fixture
def certificate(tmp_path):
    """The files of a certificate for 127.0.0.1, signed by itself, and of its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"]
    made += ["-subj", "/CN=areas", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*made, "-keyout", key, "-out", cert], check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


def test_encrypted_for_areas_and_for_pyarrow(name, token, certificate, tmp_path):
    cert, key = certificate
    array = np.random.default_rng(1).integers(0, 256, (3 << 20) + 3, dtype="u1")
    with areas.put(array, name=name), areas.serve(name, token_file=token, tls_cert=cert, tls_key=key) as server:
        assert server.tls and server.location(name).startswith("grpc+tls://127.0.0.1:")
        with areas.fetch(server.location(name), token_file=token, tls_ca=cert, copy=True) as fetched:
            assert np.array_equal(fetched.array, array)
        with pytest.raises(areas.Error, match="certificate") as caught:
            areas.fetch(server.location(name), token_file=token)
        assert "--tls-ca" in caught.value.remedy
        with pytest.raises(areas.Error) as caught:
            areas.fetch(f"127.0.0.1:{server.port}/{name}", token_file=token, timeout=2)
        assert "grpc+tls://" in caught.value.remedy
        flight = pytest.importorskip("pyarrow.flight")
        options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.read_bytes().strip())])
        with flight.connect(f"grpc+tls://127.0.0.1:{server.port}", tls_root_certs=cert.read_bytes()) as client:
            (info,) = client.list_flights(options=options)
            table = client.do_get(info.endpoints[0].ticket, options).read_all()
            assert np.array_equal(table["bytes"].to_numpy(), array)
    key.chmod(0o644)
    with areas.put(array, name=name), pytest.raises(areas.NotPermitted, match="its mode is 0644"):
        areas.serve(name, token_file=token, tls_cert=cert, tls_key=key)
    with pytest.raises(areas.InvalidInput, match="tls_cert without tls_key"):
        areas.serve(name, token_file=token, tls_cert=cert)
    with pytest.raises(areas.InvalidInput, match="tls_key without tls_cert"):
        areas.serve(name, token_file=token, tls_key=key)


def test_an_encrypted_table_of_a_server_of_pyarrow_s(name, certificate):
    pa = pytest.importorskip("pyarrow")
    flight = pytest.importorskip("pyarrow.flight")
    import areas.arrow

    cert, key = certificate
    table = pa.table({"x": np.arange(150_000)})

    class Theirs(flight.FlightServerBase):
        def get_flight_info(self, context, descriptor):
            return flight.FlightInfo(table.schema, descriptor, [flight.FlightEndpoint(b"0", [])], table.num_rows, -1)

        def do_get(self, context, ticket):
            return flight.RecordBatchStream(table)

    with Theirs("grpc+tls://127.0.0.1:0", tls_certificates=[(cert.read_bytes(), key.read_bytes())]) as server:
        with areas.fetch(f"grpc+tls://127.0.0.1:{server.port}/table", tls_ca=cert) as fetched:
            assert areas.arrow.read(fetched, validate="full").equals(table)
        with pytest.raises(areas.Error):
            areas.fetch(f"127.0.0.1:{server.port}/table", timeout=2)


def test_a_table_of_a_server_of_pyarrow_s(name):
    pa = pytest.importorskip("pyarrow")
    flight = pytest.importorskip("pyarrow.flight")
    import areas.arrow

    words = pa.array(["a", None, "ccc"] * 50_000).dictionary_encode()
    table = pa.table({"x": np.arange(150_000), "words": words})

    class Theirs(flight.FlightServerBase):
        def get_flight_info(self, context, descriptor):
            if descriptor.path != [b"table"]:
                raise flight.FlightServerError("no such path here")
            endpoints = [flight.FlightEndpoint(part, []) for part in (b"0", b"1")]
            return flight.FlightInfo(table.schema, descriptor, endpoints, table.num_rows, -1)

        def do_get(self, context, ticket):
            part = table.slice(int(ticket.ticket) * 75_000, 75_000)
            return flight.RecordBatchStream(pa.Table.from_batches(part.to_batches(max_chunksize=10_000)))

    with Theirs("grpc://127.0.0.1:0") as server:
        location = f"127.0.0.1:{server.port}/table"
        with areas.fetch(location, name) as fetched:
            assert fetched.frozen and areas.arrow.get(name, keep_name=False).equals(table)
        with areas.fetch(location, nodes="all", policy="interleave") as fetched:
            assert areas.arrow.read(fetched, validate="full").equals(table)
        with pytest.raises(areas.Limit, match="more than"):
            areas.fetch(location, max_nbytes=1 << 20)
        with pytest.raises(areas.Error, match="no such path here"):
            areas.fetch(f"127.0.0.1:{server.port}/other", timeout=1)
