"""Reads tables with each reader, and compares the rows with those that were written: read.py FOLDER CASE …"""

import glob
import json
import os
import sys

# Sail logs what it does.
os.environ.setdefault("RUST_LOG", "error")

import deltalake
import duckdb
import duckdb_extension_delta
import polars
import pyarrow

from canonical import canonical

EXTENSION = glob.glob(f"{os.path.dirname(duckdb_extension_delta.__file__)}/extensions/*/delta.duckdb_extension")[0]


class DuckDB:
    def __init__(self):
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute(f"LOAD '{EXTENSION}'")
        self.connection.execute("SET TimeZone = 'UTC'")

    def rows(self, table, where, commit):
        where = where.replace("TIMESTAMP_NTZ", "TIMESTAMP")
        past = "" if commit is None else f", version => {commit}"
        relation = self.connection.execute(f"SELECT * FROM delta_scan('file://{table}'{past}) WHERE {where}")
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row)) for row in relation.fetchall()]


class DeltaRs:
    def rows(self, table, where, commit):
        where = where.replace("TIMESTAMP_NTZ", "TIMESTAMP")
        query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(table, version=commit))
        return pyarrow.table(query.execute(f"SELECT * FROM t WHERE {where}").read_all()).to_pylist()


class Polars:
    def rows(self, table, where, commit):
        where = where.replace("TIMESTAMP_NTZ", "TIMESTAMP")
        lazy = polars.scan_delta(table, version=commit)
        if where == "true":
            return lazy.collect().to_dicts()
        return polars.SQLContext(t=lazy).execute(f"SELECT * FROM t WHERE {where}").collect().to_dicts()


class Sail:
    def __init__(self):
        import warnings

        warnings.simplefilter("ignore")
        from pysail.spark import SparkConnectServer

        self.server = SparkConnectServer(ip="127.0.0.1")
        self.server.start(background=True)
        from pyspark.sql import SparkSession

        self.session = SparkSession.builder.remote(f"sc://127.0.0.1:{self.server.listening_address[1]}").getOrCreate()
        self.session.conf.set("spark.sql.session.timeZone", "UTC")

    def rows(self, table, where, commit):
        reader = self.session.read.format("delta")
        frame = (reader if commit is None else reader.option("versionAsOf", commit)).load(table)
        if where != "true":
            frame = frame.where(where)
        return [row.asDict() for row in frame.collect()]


def started():
    readers = {}
    for name, kind in (("duckdb", DuckDB), ("delta-rs", DeltaRs), ("polars", Polars), ("sail", Sail)):
        try:
            readers[name] = kind()
        except ImportError as missing:
            print(f"skipped: {name} is not installed ({missing})", file=sys.stderr)
    return readers


def same(rows):
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def main(folder, cases):
    readers, differences, compared = started(), [], 0
    for name in cases:
        with open(f"{folder}/{name}/case.json") as file:
            case = json.load(file)
        wanted = [("true", None, case["rows"])] + [(query["where"], None, query["rows"]) for query in case["queries"]]
        wanted += [("true", past["commit"], past["rows"]) for past in case.get("past", [])]
        for reader in case["readers"] or readers:
            if reader not in readers:
                continue
            for where, commit, rows in wanted:
                # Sail 0.7.2 finds no older commit of a log that has a checkpoint, also where delta-rs has written the table.
                if commit is not None and reader == "sail" and case["checkpoints"]:
                    continue
                compared += 1
                try:
                    found = [canonical(row) for row in readers[reader].rows(f"{folder}/{name}/table", where, commit)]
                    if case.get("is_loose") and found:
                        # Columns of nulls alone are in no table.
                        rows = [{name: value for name, value in row.items() if name in found[0]} for row in rows]
                    found = same(found)
                except BaseException as error:  # Polars panics.
                    found = [str(error)[:300]]
                if found != same(canonical(row) for row in rows):
                    shown = [str(rows_)[:600] for rows_ in (found, same(canonical(row) for row in rows))]
                    differences.append(f"{name}, {reader}, commit {commit}, where {where}:\n  found  {shown[0]}\n  wanted {shown[1]}")
    print("\n".join(differences))
    print(f"{compared} readings compared, {len(differences)} differ", flush=True)
    # Sail's server does not end by itself.
    os._exit(1 if differences or not compared else 0)


main(sys.argv[1], sys.argv[2:])
