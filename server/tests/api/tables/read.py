"""Reads Delta tables on S3 with each reader. Each line of the input asks, and each line of the output answers.

Question: {"bucket": …, "table": key, "commit": number or null, "columns": […]}. Answer: {"duckdb": rows or an error as text, …}.
With "reader": that one alone. Sail, which takes seconds to start, answers only so."""

import glob
import json
import os
import sys
import warnings

# Sail logs what it does.
os.environ.setdefault("RUST_LOG", "error")

import deltalake
import duckdb
import duckdb_extension_delta
import duckdb_extension_httpfs
import polars


def extension(package, name):
    return glob.glob(f"{os.path.dirname(package.__file__)}/extensions/*/{name}.duckdb_extension")[0]


ENDPOINT = os.environ["LAKESHORE_S3_ENDPOINT"]
REGION = os.environ["LAKESHORE_S3_REGION"]
OPTIONS = {
    "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
    "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
    "AWS_REGION": REGION,
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_ALLOW_HTTP": "true",
}


class DuckDB:
    def __init__(self):
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute(f"LOAD '{extension(duckdb_extension_httpfs, 'httpfs')}'")
        self.connection.execute(f"LOAD '{extension(duckdb_extension_delta, 'delta')}'")
        address = ENDPOINT.removeprefix("http://")
        self.connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{OPTIONS['AWS_ACCESS_KEY_ID']}', "
            f"SECRET '{OPTIONS['AWS_SECRET_ACCESS_KEY']}', REGION '{REGION}', ENDPOINT '{address}', "
            "USE_SSL false, URL_STYLE 'path')"
        )

    def rows(self, table, commit, columns):
        past = "" if commit is None else f", version => {commit}"
        return self.connection.execute(f"SELECT {columns} FROM delta_scan('{table}'{past})").fetchall()


class DeltaRs:
    def rows(self, table, commit, columns):
        opened = deltalake.DeltaTable(table, version=commit, storage_options=OPTIONS)
        query = deltalake.QueryBuilder().register("t", opened).execute(f"SELECT {columns} FROM t")
        import pyarrow

        return [tuple(row.values()) for row in pyarrow.table(query.read_all()).to_pylist()]


class Polars:
    def rows(self, table, commit, columns):
        lazy = polars.scan_delta(table, version=commit, storage_options=OPTIONS)
        return polars.SQLContext(t=lazy).execute(f"SELECT {columns} FROM t").collect().rows()


class Sail:
    """Spark Connect."""

    def __init__(self):
        warnings.simplefilter("ignore")
        os.environ.update(OPTIONS)
        from pysail.spark import SparkConnectServer

        self.server = SparkConnectServer(ip="127.0.0.1")
        self.server.start(background=True)
        from pyspark.sql import SparkSession

        self.session = SparkSession.builder.remote(f"sc://127.0.0.1:{self.server.listening_address[1]}").getOrCreate()

    def rows(self, table, commit, columns):
        reader = self.session.read.format("delta")
        frame = (reader if commit is None else reader.option("versionAsOf", commit)).load(table)
        return [tuple(row) for row in frame.selectExpr(*columns.replace('"', "`").split(", ")).collect()]


READERS = {"duckdb": DuckDB(), "delta-rs": DeltaRs(), "polars": Polars()}

for line in sys.stdin:
    asked = json.loads(line)
    table, columns = f"s3://{asked['bucket']}/{asked['table']}", ", ".join(f'"{name}"' for name in asked["columns"])
    answer = {}
    if asked.get("reader") == "sail" and "sail" not in READERS:
        READERS["sail"] = Sail()
    for name, reader in READERS.items():
        if asked.get("reader", name) != name or (name == "sail" and "reader" not in asked):
            continue
        try:
            answer[name] = sorted(list(row) for row in reader.rows(table, asked.get("commit"), columns))
        except BaseException as error:  # Polars panics.
            answer[name] = str(error)[:500]
    print(json.dumps(answer, default=str), flush=True)
# Sail's server does not end by itself.
os._exit(0)
