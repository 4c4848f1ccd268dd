"""Counts reads of a dataset that concurrent publishes spoil.

    LAKESHORE_BIN=target/release/lakeshore python3 benches/readers/readers.py [PUBLISHES]

Each installed reader of DuckDB, Polars, pyarrow and pandas reads in a loop while another process publishes PUBLISHES versions
(default 200) of FILES files, in each of these ways: the folder of the lake, a snapshot, a version over HTTP, and the folder
opened once and read through /proc/self/fd. A read is spoilt if it fails, or returns rows of several versions or of none.
`lakeshore get` is measured too. Exit code 1 if a way other than the folder spoils a read.
"""

import io
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

FILES = int(os.environ.get("FILES", "20"))
BINARY = os.environ.get("LAKESHORE_BIN", "target/release/lakeshore")
DATASET = "/data/t"


def modules():
    found = {}
    for name in ["pyarrow", "duckdb", "polars", "pandas"]:
        try:
            found[name] = __import__(name)
        except ImportError:
            pass
    return found


def rows_of(version):
    """Rows of each file of a version. They differ between versions, so mixed reads show."""
    return 100 + version % 5


def parquet(version):
    import pyarrow
    import pyarrow.parquet

    output = io.BytesIO()
    table = pyarrow.table({"version": [version] * rows_of(version)})
    pyarrow.parquet.write_table(table, output)
    return output.getvalue()


class Server:
    def __init__(self, folder):
        self.folder = folder
        command = [BINARY, "key", "create", "--name", "readers", "--role", "admin", "--data-dir", folder]
        self.key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder, "--trash-max-size", "1MB"]
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen(command, stderr=self.log)
        while not (line := self.listening()):
            if self.process.poll() is not None:
                raise SystemExit("the server did not start: " + open(self.log.name).read())
            time.sleep(0.05)
        self.url = line
        self.lake = os.path.join(folder, "lake")

    def listening(self):
        for line in open(self.log.name):
            if line.startswith("listening on "):
                return line.split()[-1]
        return None

    def stop(self):
        self.process.terminate()
        self.process.wait()


def call(url, key, path, body=None, method=None, headers=None):
    request = urllib.request.Request(url + path, data=body, method=method, headers=headers or {})
    request.add_header("Authorization", "Bearer " + key)
    with urllib.request.urlopen(request) as response:
        return response.read()


def call_json(url, key, path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    return json.loads(call(url, key, path, data, method))


def publish(url, key, version):
    body = {"name": "readers", "path": DATASET, "sync_type": "FullSync", "api_key": key}
    sync_id = call_json(url, key, "/api/ingestion/file/sync/start", body)["sync_id"]
    boundary = uuid.uuid4().hex
    bytes_of_file = parquet(version)
    form = io.BytesIO()
    for file in range(FILES):
        form.write(f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; ".encode())
        form.write(f"filename=\"part-{file:04}.parquet\"\r\n\r\n".encode() + bytes_of_file + b"\r\n")
    form.write(f"--{boundary}--\r\n".encode())
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    call(url, key, f"/api/lake/file/upload?sync_id={sync_id}", form.getvalue(), "POST", headers)
    call_json(url, key, "/api/ingestion/file/sync/end", {"sync_id": sync_id, "api_key": key, "confirm": True})


def publish_on(url, key, first, count, published):
    for version in range(first, first + count):
        publish(url, key, version)
        published.value += 1


def read_files(reader, pattern):
    """Reads a folder as users of the reader do, and returns the number of rows of each version."""
    if reader == "duckdb":
        import duckdb

        sql = f"SELECT version, count(*) FROM read_parquet('{pattern}') GROUP BY version"
        return dict(duckdb.sql(sql).fetchall())
    if reader == "polars":
        import polars

        return count(polars.read_parquet(pattern)["version"].to_list())
    if reader == "pandas":
        import pandas

        # The folder, which pyarrow lists for pandas.
        return count(pandas.read_parquet(os.path.dirname(pattern))["version"].tolist())
    import pyarrow.dataset

    files = pyarrow.dataset.dataset(os.path.dirname(pattern), format="parquet")
    return count(files.to_table().column("version").to_pylist())


def count(values):
    counted = {}
    for value in values:
        counted[value] = counted.get(value, 0) + 1
    return counted


def by_folder(server, reader):
    return read_files(reader, os.path.join(server["lake"], DATASET[1:], "*.parquet"))


def by_descriptor(server, reader):
    folder = os.open(os.path.join(server["lake"], DATASET[1:]), os.O_PATH | os.O_DIRECTORY)
    try:
        return read_files(reader, f"/proc/self/fd/{folder}/*.parquet")
    finally:
        os.close(folder)


def by_snapshot(server, reader):
    body = {"path": DATASET, "for": "5m", "api_key": server["key"]}
    taken = call_json(server["url"], server["key"], "/api/lake/dataset/snapshot", body)
    try:
        return read_files(reader, os.path.join(taken["absolute"], "*.parquet"))
    finally:
        path = "/api/lake/dataset/snapshot/" + taken["snapshot"]
        call_json(server["url"], server["key"], path, method="DELETE")


def by_http(server, reader):
    version = call_json(server["url"], server["key"], "/api/lake/dataset/version?path=" + DATASET)
    with tempfile.TemporaryDirectory() as folder:
        for file in version["list"]:
            with open(os.path.join(folder, os.path.basename(file["path"])), "wb") as copy:
                copy.write(call("", server["key"], file["address"]))
        return read_files(reader, os.path.join(folder, "*.parquet"))


def by_get(server, _):
    with tempfile.TemporaryDirectory() as folder:
        environment = {"LAKESHORE_SERVER": server["url"], "LAKESHORE_API_KEY": server["key"], "HOME": folder}
        to = os.path.join(folder, "copy")
        subprocess.run([BINARY, "get", "--quiet", DATASET, to], check=True, env=environment, capture_output=True)
        return read_files("pyarrow", os.path.join(to, "*.parquet"))


WAYS = {"folder": by_folder, "snapshot": by_snapshot, "HTTP": by_http, "descriptor": by_descriptor}


def is_of_one(found):
    return len(found) == 1 and all(rows == FILES * rows_of(version) for version, rows in found.items())


def measure(server, reader, way, read, first, publishes):
    published = multiprocessing.Value("i", 0)
    arguments = (server["url"], server["key"], first, publishes, published)
    publisher = multiprocessing.Process(target=publish_on, args=arguments)
    publisher.start()
    readings = across = mixed = errors = 0
    said = ""
    while publisher.is_alive():
        before = published.value
        try:
            found = read(server, reader)
            mixed += not is_of_one(found)
        except Exception as error:  # noqa: BLE001: any error of a reader counts
            errors += 1
            said = said or f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"
        readings += 1
        across += published.value != before
    publisher.join()
    print(f"{reader:<10} {way:<11} {readings:>8} {across:>8} {mixed:>7} {errors:>7}  {said}", flush=True)
    return mixed + errors


def main():
    publishes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    found = modules()
    if "pyarrow" not in found:
        print("SKIPPED: the test of readers needs Python with pyarrow; make reader-libraries installs it")
        return 0
    readers = [name for name in ["duckdb", "polars", "pyarrow", "pandas"] if name in found]
    folder = tempfile.mkdtemp()
    server = Server(folder)
    try:
        told = {"url": server.url, "key": server.key, "lake": server.lake}
        publish(server.url, server.key, 1)
        print(f"{publishes} publishes of {FILES} files while each reads; spoilt are mixed and failed readings")
        print(f"{'reader':<10} {'way':<11} {'readings':>8} {'amid':>8} {'mixed':>7} {'failed':>7}")
        spoilt, first = 0, 2
        for reader in readers:
            for way, read in WAYS.items():
                of_way = measure(told, reader, way, read, first, publishes)
                first += publishes
                spoilt += of_way if way != "folder" else 0
        spoilt += measure(told, "lakeshore", "get", by_get, first, publishes)
        print("no reading of a version was spoilt" if spoilt == 0 else f"{spoilt} readings of versions were spoilt")
        return 1 if spoilt else 0
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
