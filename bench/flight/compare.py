"""Arrow Flight in four ways, and the most that a socket takes: areas and pyarrow.flight as server
and as client, over the loopback device and, as root, between two network namespaces. `cargo xtask
bench flight` runs it.

Every round runs every row once, so that what else the machine does falls on all of them alike; what
is reported are medians, and their ratios to pyarrow as server and client. The bytes are the same
everywhere, in batches of the same size, and every row is a process of its own that has nothing else
to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BATCH = 2 << 20
ADDRESSES = ("10.91.8.1", "10.91.8.2")


def payload(size):
    """Bytes of which no two pages are the same."""
    import numpy as np

    return np.arange(size // 8, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)


# What runs in the namespaces: `compare.py ROLE …`.


def serve_pyarrow(address, size):
    import pyarrow as pa
    import pyarrow.flight as flight

    column = pa.array(payload(int(size)).view("u1"))
    schema = pa.schema([("bytes", pa.uint8())])
    batches = [pa.record_batch([column.slice(at, BATCH)], schema) for at in range(0, len(column), BATCH)]

    class Server(flight.FlightServerBase):
        def get_flight_info(self, context, descriptor):
            return flight.FlightInfo(schema, descriptor, [flight.FlightEndpoint(b"x", [])], len(column), int(size))

        def do_get(self, context, ticket):
            return flight.RecordBatchStream(pa.RecordBatchReader.from_batches(schema, batches))

    server = Server(f"grpc://{address}:0")
    print(server.port, flush=True)
    server.serve()


def read_pyarrow(location, token):
    import pyarrow.flight as flight

    options = flight.FlightCallOptions()
    if token:
        header = b"Bearer " + pathlib.Path(token).read_bytes().strip()
        options = flight.FlightCallOptions(headers=[(b"authorization", header)])
    client = flight.connect(f"grpc://{location}")
    info = client.get_flight_info(flight.FlightDescriptor.for_path("x"), options)
    start = time.monotonic()
    table = client.do_get(info.endpoints[0].ticket, options).read_all()
    seconds = time.monotonic() - start
    print(json.dumps({"seconds": seconds, "bytes": table.nbytes, "peak": peak("self")}))


def send_file(address, size):
    memory = os.memfd_create("payload")
    os.truncate(memory, int(size))
    with mmap.mmap(memory, int(size)) as view:
        view[:] = payload(int(size)).tobytes()
    with socket.create_server((address, 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            with client:
                at = 0
                while at < int(size):
                    at += os.sendfile(client.fileno(), memory, at, int(size) - at)


def receive(location, size):
    """Into memory as an area has it: shared, and with all its pages."""
    host, port = location.rsplit(":", 1)
    memory = os.memfd_create("received")
    os.truncate(memory, int(size))
    with mmap.mmap(memory, int(size), flags=mmap.MAP_SHARED | mmap.MAP_POPULATE) as view:
        into = memoryview(view)
        with socket.create_connection((host, int(port))) as server:
            start, at = time.monotonic(), 0
            while at < int(size):
                with into[at : at + (8 << 20)] as part:
                    at += server.recv_into(part)
            seconds = time.monotonic() - start
        into.release()
    print(json.dumps({"seconds": seconds, "bytes": at, "peak": None}))


ROLES = {f.__name__: f for f in (serve_pyarrow, read_pyarrow, send_file, receive)}


def peak(pid):
    """The most memory of its own that a process has, in bytes: not what it shares, as areas are."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    return int(found[1]) << 10 if found else None


def cpu(pids):
    """The seconds of CPU that processes have had, with those of their children that have ended."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_of_ended():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Watch:
    """The most that processes had of their own, looked at all the time."""

    def __init__(self, names):
        self.names, self.most, self.going = names, {name: 0 for name in names}, True
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while self.going:
            for name, pids in self.names.items():
                total = sum(peak(pid) or 0 for pid in pids())
                self.most[name] = max(self.most[name], total)
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.thread.join()


def below(pid):
    """A process, and those that it has started, and theirs."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            found += map(int, pathlib.Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


class Network:
    """Where two sides are."""

    def __init__(self, name, server, address):
        self.name, self.server, self.address = name, server, address

    def command(self, side, arguments):
        return ["ip", "netns", "exec", self.server[side], *arguments] if self.server else list(arguments)


@contextlib.contextmanager
def cable():
    """Two network namespaces with a pair of virtual devices, or why there are none."""
    names = [f"areas-bench-{os.getpid()}{end}" for end in "ab"]

    def ip(arguments):
        subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True)

    try:
        try:
            for name in names:
                ip(f"netns add {name}")
            ip(f"-n {names[0]} link add wire type veth peer name wire netns {names[1]}")
            for name, address in zip(names, ADDRESSES):
                ip(f"-n {name} addr add {address}/24 dev wire")
                ip(f"-n {name} link set wire up")
                ip(f"-n {name} link set lo up")
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"SKIPPED: veth: {getattr(error, 'stderr', None) or error}".strip())
            yield None
        else:
            yield Network("veth", names, ADDRESSES[0])
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Bench:
    def __init__(self, areas, size, folder):
        self.areas, self.size, self.folder = areas, size, folder
        self.token = folder / "token"
        for side in ("there", "here"):
            (folder / side).mkdir(mode=0o700)
        self.started = []

    def environment(self, side):
        return {**os.environ, "AREAS_DIR": str(self.folder / side), "XDG_CONFIG_HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    def start(self, command, side="there"):
        """Starts what goes on; its first line."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=self.environment(side), text=True)
        self.started.append(process)
        line = process.stdout.readline()
        assert line, f"{command} has ended"
        return process, line

    def end(self):
        for process in self.started:
            process.terminate()
            process.wait()
        self.started.clear()

    def python(self, *arguments):
        return [sys.executable, __file__, *map(str, arguments)]

    def servers(self, network):
        """Starts all servers in a network: where each is."""
        file = self.folder / "payload"
        if not file.exists():
            file.write_bytes(payload(self.size).tobytes())
        _, _ = self.start([self.areas, "put", str(file), "--name", "x", "--freeze"])
        listen = ["--listen", f"{network.address}:0", "--token-file", str(self.token)]
        ours, line = self.start(network.command(0, [self.areas, "--quiet", "serve", "x", "--json", *listen]))
        port = json.loads(line)["port"]
        theirs, line = self.start(network.command(0, self.python("serve_pyarrow", network.address, self.size)))
        files, file_port = self.start(network.command(0, self.python("send_file", network.address, self.size)))
        return {
            "areas": (f"{network.address}:{port}", ours),
            "pyarrow": (f"{network.address}:{int(line)}", theirs),
            "sendfile": (f"{network.address}:{int(file_port)}", files),
        }

    def row(self, network, server, client, at):
        """One transfer: seconds of the transfer and of all, bytes, and the most memory of its own
        that the client had."""
        if client == "areas":
            return self.fetch(network, at)
        role = ("receive", at, self.size) if client == "recv" else ("read_pyarrow", at, self.token if server == "areas" else "")
        command = network.command(1, self.python(*role))
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with Watch({"client": lambda: below(process.pid)}) as watch:
            output, _ = process.communicate()
        assert process.returncode == 0, command
        said = json.loads(output)
        assert said["bytes"] >= self.size, said
        return {"seconds": said["seconds"], "all": time.monotonic() - start, "peak": watch.most["client"]}

    def fetch(self, network, at):
        name = f"{at}/x"
        command = [self.areas, "fetch", name, "--name", "y", "--token-file", str(self.token), "--max-size", str(2 * self.size)]
        start = time.monotonic()
        process = subprocess.Popen(
            network.command(1, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment("here"), text=True
        )
        with Watch({"client": lambda: below(process.pid)}) as watch:
            ready = process.stdout.readline()
        every = time.monotonic() - start
        process.terminate()
        _, errors = process.communicate()
        assert ready, errors
        said = re.search(r" came in ([0-9.]+) s,", errors)
        assert said, errors
        return {"seconds": float(said[1]), "all": every, "peak": watch.most["client"]}


ROWS = [("pyarrow", "pyarrow"), ("areas", "pyarrow"), ("pyarrow", "areas"), ("areas", "areas"), ("sendfile", "recv")]


def measure(bench, network, rounds):
    try:
        servers = bench.servers(network)
        results = {row: [] for row in ROWS}
        ours = servers["areas"][1]
        with Watch({"server": lambda: below(ours.pid)}) as watch:
            # The first one of each is not counted: areas computes a checksum then, once.
            for number in range(rounds + 1):
                for row in ROWS:
                    at, server = servers[row[0]]
                    of_server, of_client = cpu(below(server.pid)), cpu_of_ended()
                    result = bench.row(network, *row, at)
                    result["server_cpu"] = cpu(below(server.pid)) - of_server
                    result["client_cpu"] = cpu_of_ended() - of_client
                    if number > 0:
                        results[row].append(result)
                    print(f"{network.name} {number}: {row[0]} to {row[1]}: {result['seconds']:.3f} s", file=sys.stderr)
    finally:
        bench.end()
    return results, watch.most["server"]


def report(network, results, server_peak, size):
    def median(row, what):
        return statistics.median(one[what] for one in results[row])

    base, ceiling = median(ROWS[0], "seconds"), median(ROWS[-1], "seconds")
    print(f"\n{network.name}, {size >> 20} MiB, medians of {len(results[ROWS[0]])}:\n")
    print("| server | client | GiB/s | to pyarrow's | of sendfile's | client's own memory | with start and end | CPU of server and client |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for row in ROWS:
        seconds, every = median(row, "seconds"), median(row, "all")
        own = max(one["peak"] for one in results[row])
        rate = size / seconds / (1 << 30)
        print(
            f"| {row[0]} | {row[1]} | {rate:.2f} | {base / seconds:.2f} | {ceiling / seconds:.2f} | {own >> 20} MiB | {every:.2f} s | {median(row, 'server_cpu'):.2f} s, {median(row, 'client_cpu'):.2f} s |"
        )
        rows.append({"server": row[0], "client": row[1], "seconds": seconds, "all": every, "peak": own, "runs": results[row]})
    print(f"\nareas' server: {server_peak >> 20} MiB of its own at most.")
    return {"network": network.name, "size": size, "rows": rows, "server_peak": server_peak}


def main():
    if len(sys.argv) > 1 and sys.argv[1] in ROLES:
        return ROLES[sys.argv[1]](*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--areas", default=shutil.which("areas"), help="the command, with areas-flight beside it")
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="once, and small: whether all of it runs")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for flight.json")
    options = parser.parse_args()
    if options.smoke:
        options.size, options.rounds = 16 << 20, 1
    # Whoever is ended takes its networks and servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()
    reports = []
    with cable() as wire:
        for network in filter(None, [Network("loopback", None, "127.0.0.1"), wire]):
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(options.areas, options.size, pathlib.Path(folder))
                reports.append(report(network, *measure(bench, network, options.rounds), options.size))
    cpus = len(os.sched_getaffinity(0))
    print(f"\nCPUs: {cpus}; load before: {load[0]:.1f}, after: {os.getloadavg()[0]:.1f}.")
    print(f"rows: {len(ROWS) * len(reports)}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "flight.json").write_text(json.dumps({"cpus": cpus, "load": load, "networks": reports}, indent=1))


if __name__ == "__main__":
    main()
