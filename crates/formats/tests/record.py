"""Makes the files of the corpus test, and records their readings by pyarrow, DuckDB and Polars.

    python3 -m pip install pyarrow duckdb polars
    python3 record.py

Each file is small, and has the type, encoding or dialect of its name. `readings.json` has the column names, the number of rows and
the rows of each file, in Lakeshore's text form (`compare.text`). If the libraries disagree, pyarrow's reading is used, else DuckDB's.
"""
import datetime as dt, decimal, gzip, json, os, uuid
import duckdb, polars as pl, pyarrow as pa, pyarrow.parquet as pq
import compare

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = os.path.join(HERE, "files")
UTC = dt.timezone.utc
at = dt.datetime(2026, 11, 24, 14, 5, 9, 123456)
D = decimal.Decimal

COLUMNS = {
    "boolean": pa.array([True, False, None]),
    "int8": pa.array([-128, 127, None], pa.int8()),
    "int16": pa.array([-32768, 32767, None], pa.int16()),
    "int32": pa.array([-(2**31), 2**31 - 1, None], pa.int32()),
    "int64": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
    "uint8": pa.array([0, 255, None], pa.uint8()),
    "uint16": pa.array([0, 65535, None], pa.uint16()),
    "uint32": pa.array([0, 2**32 - 1, None], pa.uint32()),
    "uint64": pa.array([0, 2**64 - 1, None], pa.uint64()),
    "float16": pa.array([1.5, -2.0, None], pa.float16()),
    "float": pa.array([1.5, -0.1, None], pa.float32()),
    "double": pa.array([0.1, 1e300, None], pa.float64()),
    "decimal_9_2": pa.array([D("1.20"), D("-1234567.89"), None], pa.decimal128(9, 2)),
    "decimal_38_10": pa.array([D("1234567890123456789012345678.0123456789"), D("-0.0000000001"), None], pa.decimal128(38, 10)),
    "decimal_76_0": pa.array([D(10) ** 75, D(-7), None], pa.decimal256(76, 0)),
    "date": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
    "time_ms": pa.array([dt.time(0, 0), dt.time(23, 59, 59, 999000), None], pa.time32("ms")),
    "time_us": pa.array([dt.time(0, 0, 1), dt.time(23, 59, 59, 999999), None], pa.time64("us")),
    "timestamp_ms": pa.array([at.replace(microsecond=123000), dt.datetime(1, 1, 1), None], pa.timestamp("ms")),
    "timestamp_us": pa.array([at, dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None], pa.timestamp("us")),
    "timestamp_ns": pa.array([1, -1, None], pa.timestamp("ns")),
    "timestamp_us_utc": pa.array([at.replace(tzinfo=UTC), dt.datetime(1969, 7, 20, 20, 17, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
    "timestamp_ms_berlin": pa.array([at.replace(tzinfo=UTC, microsecond=0), None, None], pa.timestamp("ms", "Europe/Berlin")),
    "string": pa.array(["x", "Grüße 🎁", None]),
    "binary": pa.array([b"\x00\xff", b"", None]),
    "fixed": pa.array([b"abc", b"\x00\x01\x02", None], pa.binary(3)),
    "null": pa.array([None, None, None], pa.null()),
    "list": pa.array([[1, None, 2], [], None], pa.list_(pa.int64())),
    "list_of_timestamps": pa.array([[at.replace(tzinfo=UTC)], [None], None], pa.list_(pa.timestamp("us", "UTC"))),
    "struct": pa.array([{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None], pa.struct([("a", pa.int32()), ("b", pa.string())])),
    "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "list_of_structs": pa.array([[{"d": D("1.5")}], [None], []], pa.list_(pa.struct([("d", pa.decimal128(5, 1))]))),
    "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
}

CSV = {
    "usual.csv": "id,name,price\n1,a,2.5\n2,b,\n",
    "crlf.csv": "id,name\r\n1,a\r\n2,\"b\r\nc\"\r\n",
    "semicolons_decimal_comma.csv": "id;price\n1;2,5\n2;3,25\n",
    "tabs.tsv": "id\tname\n1\ta, b\n2\tc\n",
    "bars.csv": "id|name\n1|a\n2|b\n",
    "quotes.csv": 'id,name\n1,"a ""b"", c"\n2,"d"\n',
    "apostrophes.csv": "id;name\n1;'a;b'\n2;'c;d'\n3;'e;f'\n",
    "title.csv": "Report generated 2026-11-24\n\nid,name,amount\n1,x,2\n2,y,3\n3,z,4\n",
    "comments.csv": "# made by a tool\n# v1\nid;name;amount\n1;x;2\n2;y;3\n3;z;4\n",
    "trailing.csv": "a,b\n1,2,\n3,4,\n5,6,\n",
    "no_header_dates.csv": "05/06/2019,12:30\n06/06/2019,13:30\n",
    "no_header_numbers.csv": "1,2\n3,4\n",
    "index.csv": ",a,b\n0,1,2\n1,3,4\n",
    "one_column.csv": "name\nann\nbob\n",
    "nul.csv": "a,b\n1,x\0y\n2,z\n",
    "mark.csv": "\ufeffid,name\n1,a\n",
    "packed.csv.gz": "id,name\n1,a\n2,b\n",
}

LINES = {
    "usual.jsonl": '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n',
    "ragged.jsonl": '{"a": 1}\n{"b": "x"}\n\n{"a": 3, "b": "y"}\n',
    "nested.jsonl": '{"a": [1, 2], "b": {"c": "x"}}\n{"a": [], "b": {"c": "y"}}\n',
    "crlf.ndjson": '{"a": 1}\r\n{"a": 2}\r\n',
}


def path(name):
    return os.path.join(FILES, name)


def make():
    os.makedirs(FILES, exist_ok=True)
    for name, column in COLUMNS.items():
        pq.write_table(pa.table({"id": pa.array([1, 2, 3]), name: column}), path(f"type_{name}.parquet"), compression="none")
    small = pa.table({name: COLUMNS[name] for name in ("int64", "string", "double", "list", "timestamp_us_utc")})
    for codec in ("snappy", "gzip", "brotli", "zstd", "lz4"):
        pq.write_table(small, path(f"codec_{codec}.parquet"), compression=codec)
    pq.write_table(small, path("pages_v2.parquet"), data_page_version="2.0", compression="zstd")
    pq.write_table(small, path("no_dictionary.parquet"), use_dictionary=False)
    pq.write_table(small, path("no_statistics.parquet"), write_statistics=False)
    pq.write_table(small, path("row_groups.parquet"), row_group_size=1)
    pq.write_table(small.slice(0, 0), path("no_rows.parquet"))
    flat = pa.table({"a": pa.array([1, 2, 3], pa.int32()), "b": pa.array([1.5, None, 2.5]), "c": pa.array(["x", "xy", "xyz"])})
    for column, encoding in (("a", "DELTA_BINARY_PACKED"), ("b", "BYTE_STREAM_SPLIT"), ("c", "DELTA_BYTE_ARRAY"), ("c", "DELTA_LENGTH_BYTE_ARRAY")):
        pq.write_table(flat, path(f"encoding_{encoding.lower()}.parquet"), use_dictionary=False, column_encoding={column: encoding})
    pq.write_table(pa.table({"at": pa.array([at, dt.datetime(1969, 7, 20), None], pa.timestamp("us"))}), path("int96.parquet"), use_deprecated_int96_timestamps=True)
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    con.execute(f"""copy (select 1 as id, uuid '00112233-4455-6677-8899-aabbccddeeff' as u, timestamptz '2026-11-24 14:05:09+00' as at,
        date '2026-11-24' as day, 12.5::decimal(18, 3) as d, [1, 2] as l, {{'a': 1, 'b': 'x'}} as s) to '{path("duckdb.parquet")}' (format parquet)""")
    pl.DataFrame({"id": [1, 2], "at": [at, None], "day": [dt.date(2026, 11, 24), None], "t": [dt.time(1, 2, 3), None], "l": [["a"], []],
                  "c": pl.Series(["x", "y"], dtype=pl.Categorical)}).write_parquet(path("polars.parquet"))
    for name, text in {**CSV, **LINES}.items():
        data = text.encode()
        with open(path(name), "wb") as file:
            file.write(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)


def record():
    readings = {}
    for name in sorted(os.listdir(FILES)):
        readers = [compare.by_pyarrow] if name.endswith(".parquet") else []
        for read in [*readers, compare.by_duckdb, compare.by_polars]:
            try:
                names, rows, count = read(path(name))
            except Exception as error:
                print(f"{name}: {read.__name__}: {str(error).splitlines()[0][:100]}")
                continue
            rows = [[compare.text(value) for value in row] for row in rows]
            rows = [[repr(value) if isinstance(value, float) else value for value in row] for row in rows]
            readings[name] = {"by": read.__name__.removeprefix("by_"), "columns": names, "row_count": count, "rows": rows}
            break
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(reading, ensure_ascii=False)}" for name, reading in readings.items())
    with open(os.path.join(HERE, "readings.json"), "w") as file:
        file.write("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    make()
    record()
