"""Writes the files of which the tables of a group of cases are made, and the rows that they hold: cases.py GROUP FOLDER.

A case is a list of versions. A version has files, under their names in the dataset; a publish replaces those before. The rows are told by
what was written, not by what any reader reads."""

import datetime as dt
import decimal
import json
import math
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from canonical import canonical

D = decimal.Decimal
UTC = dt.timezone.utc


class Case:
    def __init__(self, name, columns, partitions=(), widening=False, checkpoints=(), oldest_kept=None, readers=None):
        self.name, self.columns, self.partitions = name, columns, list(partitions)
        self.spec = {"name": name, "versions": [], "widening": widening, "checkpoints": list(checkpoints), "oldest_kept": oldest_kept}
        self.readers, self.queries, self.live, self.past = readers, [], {}, []

    def version(self, files, kind="publish", remove=(), misfits=(), values=None):
        """`values` overrides the rows that a file holds, by name."""
        folder = f"{FOLDER}/{self.name}/in"
        os.makedirs(folder, exist_ok=True)
        if kind == "publish":
            self.live = {}
        for name in remove:
            del self.live[name]
        entries = []
        for name, table in files.items():
            source = f"{folder}/{len(self.spec['versions'])}-{len(entries)}.parquet"
            options = {}
            if isinstance(table, tuple):
                table, options = table
            pq.write_table(table, source, **options)
            fits = name not in misfits
            entries.append({"name": name, "source": source, "fits": fits})
            if fits:
                self.live[name] = (values or {}).get(name) or table.to_pylist()
        self.spec["versions"].append({"kind": kind, "files": entries, "remove": list(remove)})
        self.past.append(self.rows())
        return self

    def query(self, where, test):
        self.queries.append((where, test))
        return self

    def rows(self):
        rows = []
        for name, of_file in self.live.items():
            folders = [folder.split("=", 1) for folder in name.split("/")[:-1] if "=" in folder]
            values = {key: unescaped(value) for key, value in folders}
            for row in of_file:
                rows.append({column: values[column] if column in self.partitions else row.get(column) for column in self.columns})
        return rows

    def write(self):
        rows = self.rows()
        self.spec["rows"] = [canonical(row) for row in rows]
        self.spec["queries"] = [{"where": where, "rows": [canonical(row) for row in rows if test(row)]} for where, test in self.queries]
        kept = self.spec["oldest_kept"] or 0
        self.spec["past"] = [{"commit": at, "rows": [canonical(row) for row in rows]} for at, rows in enumerate(self.past) if at >= kept] if GROUP == "history" else []
        self.spec["readers"] = self.readers
        with open(f"{FOLDER}/{self.name}/case.json", "w") as file:
            json.dump(self.spec, file)


def unescaped(value):
    from urllib.parse import unquote

    value = unquote(value)
    return None if value in ("", "__HIVE_DEFAULT_PARTITION__") else value


def column(kind, values, name="a"):
    return pa.table({name: pa.array(values, kind), "id": pa.array(range(len(values)), pa.int64())})


def types():
    struct = pa.struct([("x", pa.int32()), ("y", pa.string())])
    at = dt.datetime(2026, 11, 24, 14, 5, 9, 123456)
    for name, kind, values in [
        ("boolean", pa.bool_(), [True, False, None]),
        ("int8", pa.int8(), [-128, 127, None]),
        ("int16", pa.int16(), [-32768, 32767, None]),
        ("int32", pa.int32(), [-(2**31), 2**31 - 1, None]),
        ("int64", pa.int64(), [-(2**63), 2**63 - 1, None]),
        ("uint8", pa.uint8(), [0, 255, None]),
        ("uint16", pa.uint16(), [0, 65535, None]),
        ("uint32", pa.uint32(), [0, 2**32 - 1, None]),
        ("float", pa.float32(), [1.5, -0.25, math.nan, math.inf, None]),
        ("double", pa.float64(), [0.1, 1e300, math.nan, -math.inf, None]),
        ("decimal_9_2", pa.decimal128(9, 2), [D("1.20"), D("-1234567.89"), None]),
        ("decimal_18_4", pa.decimal128(18, 4), [D("1.2000"), D("-99999999999999.9999"), None]),
        ("decimal_38_10", pa.decimal128(38, 10), [D("1234567890123456789012345678.0123456789"), D("-0.0000000001"), None]),
        ("string", pa.string(), ["", "Grüße 🎁", "x" * 100, "\U0010ffff" * 40, None]),
        ("large_string", pa.large_string(), ["a", None]),
        ("dictionary", pa.dictionary(pa.int32(), pa.string()), ["a", "b", None]),
        ("binary", pa.binary(), [b"\x00\xff", b"", None]),
        ("fixed", pa.binary(3), [b"abc", b"\x00\x01\x02", None]),
        ("uuid", pa.uuid(), [b"0123456789abcdef", None]),
        ("date", pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
        ("timestamp_ms", pa.timestamp("ms"), [at.replace(microsecond=123000), dt.datetime(1, 1, 1), None]),
        ("timestamp_us", pa.timestamp("us"), [at, dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None]),
        ("timestamp_us_utc", pa.timestamp("us", "UTC"), [at.replace(tzinfo=UTC), dt.datetime(1969, 7, 20, tzinfo=UTC), None]),
        ("timestamp_ms_berlin", pa.timestamp("ms", "Europe/Berlin"), [at.replace(microsecond=0, tzinfo=UTC), None]),
        ("timestamp_ns", pa.timestamp("ns"), [at, dt.datetime(1969, 7, 20), None]),
        ("list", pa.list_(pa.int64()), [[1, None, 2], [], None]),
        ("list_of_structs", pa.list_(struct), [[{"x": 1, "y": "a"}, None], [], None]),
        ("struct", struct, [{"x": 1, "y": "a"}, {"x": None, "y": "b"}, None]),
        ("map", pa.map_(pa.string(), pa.int64()), [[("k", 1), ("l", None)], [], None]),
    ]:
        yield Case(name, ["a", "id"]).version({"f": column(kind, values)})
    int96 = [at.replace(tzinfo=UTC), dt.datetime(1969, 7, 20, tzinfo=UTC), None]
    file = (column(pa.timestamp("us"), [value and value.replace(tzinfo=None) for value in int96]), {"use_deprecated_int96_timestamps": True})
    values = [{"a": value, "id": at} for at, value in enumerate(int96)]
    yield Case("int96", ["a", "id"]).version({"f": file}, values={"f": values})
    item = (column(pa.list_(pa.int64()), [[1], None]), {"use_compliant_nested_type": False})
    yield Case("list_item", ["a", "id"]).version({"f": item})
    for name, kind, values in [
        ("time", pa.time64("us"), [dt.time(1, 2, 3)]),
        ("uint64", pa.uint64(), [2**64 - 1]),
        ("float16", pa.float16(), [1.5]),
        ("decimal_76", pa.decimal256(76, 0), [D(10) ** 50]),
        ("list_of_times", pa.list_(pa.time64("us")), [[dt.time(1, 2, 3)]]),
    ]:
        fits = column(pa.int64(), [1], "b")
        case = Case("unfit_" + name, ["b", "id"]).version({"f": fits, "g": column(kind, values)}, misfits=["g"])
        yield case


def columns():
    one = pa.table({"id": pa.array([1], pa.int64())})
    two = pa.table({"note": ["x"], "id": pa.array([2], pa.int64())})
    yield Case("added_column", ["id", "note"]).version({"a": one}).version({"b": two}, "landing")
    yield Case("added_column_in_a_checkpoint", ["id", "note"], checkpoints=[1]).version({"a": one}).version({"b": two}, "landing")
    naive = pa.table({"id": pa.array([3], pa.int64()), "at": pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("us"))})
    yield Case("added_naive_timestamp", ["id", "at"]).version({"a": one}).version({"b": naive}, "landing")
    field = lambda *fields: pa.struct([(name, pa.int64()) for name in fields])
    struct = lambda kind, value: pa.table({"s": pa.array([value], kind)})
    case = Case("added_field", ["s"])
    case.version({"a": struct(field("x"), {"x": 1})}, values={"a": [{"s": {"x": 1, "y": None}}]})
    yield case.version({"b": struct(field("y", "x"), {"x": 2, "y": 3})}, "landing")
    case = Case("added_field_in_a_list", ["s"])
    case.version({"a": struct(pa.list_(field("x")), [{"x": 1}])}, values={"a": [{"s": [{"x": 1, "y": None}]}]})
    yield case.version({"b": struct(pa.list_(field("x", "y")), [{"x": 2, "y": 3}])}, "landing")
    case = Case("added_field_in_a_map", ["s"]).version({"a": struct(pa.map_(pa.string(), field("x")), [("k", {"x": 1})])})
    yield case.version({"b": struct(pa.map_(pa.string(), field("x", "y")), [("k", {"x": 1, "y": 2})])}, "landing", misfits=["b"])
    case = Case("other_fields", ["s"]).version({"a": struct(field("x"), {"x": 1})})
    yield case.version({"b": struct(field("y"), {"y": 2})}, "landing", misfits=["b"])
    nulls = pa.table({"id": pa.array([4], pa.int64()), "note": pa.array([None], pa.null())})
    yield Case("nulls_first", ["id", "note"]).version({"a": nulls}).version({"b": two}, "landing")
    yield Case("nulls_later", ["note", "id"]).version({"b": two}).version({"a": nulls}, "landing")
    lists = lambda kind, value: pa.table({"l": pa.array([value], pa.list_(kind)), "id": pa.array([1], pa.int64())})
    yield Case("list_of_nulls", ["l", "id"]).version({"a": lists(pa.null(), [None])}).version({"b": lists(pa.int64(), [7])}, "landing")
    case = Case("nulls_and_a_list", ["id"]).version({"a": pa.table({"l": pa.array([None], pa.null()), "id": pa.array([1], pa.int64())})})
    yield case.version({"b": lists(pa.int64(), [7])}, "landing", misfits=["b"])
    upper = pa.table({"ID": pa.array([5], pa.int64())})
    yield Case("other_case", ["id"]).version({"a": one}).version({"b": upper}, "landing", misfits=["b"])
    text = pa.table({"id": ["x"]})
    yield Case("other_type", ["id"]).version({"a": one}).version({"b": text}, "landing", misfits=["b"])
    yield Case("other_type_replaces", ["id"]).version({"a": one}).version({"b": text}).version({"c": text}, "landing")
    yield Case("other_names", ["a b", "c.d", "ü", 'q"', "e\nf", "g,;{}()=", "i%20j", "k`l"]).version(
        {"a": pa.table({name: pa.array([n], pa.int64()) for n, name in enumerate(["a b", "c.d", "ü", 'q"', "e\nf", "g,;{}()=", "i%20j", "k`l"])})}
    )
    empty = pa.table({"id": pa.array([], pa.int64())})
    yield Case("no_rows", ["id"]).version({"a": one, "b": empty})
    yield Case("no_files", ["id"]).version({"a": one}).version({})
    wider = lambda *kinds: [pa.table({"a": pa.array([value], kind)}) for kind, value in kinds]
    integers = wider((pa.int32(), 1), (pa.int64(), 2**40))
    yield Case("widened_refused", ["a"]).version({"a": integers[0]}).version({"b": integers[1]}, "landing", misfits=["b"])
    # delta-rs and Polars refuse the feature.
    for name, kinds in {
        "integers": ((pa.int32(), 1), (pa.int64(), 2**40)),
        "bytes": ((pa.int8(), 1), (pa.int16(), 300)),
        "narrower_later": ((pa.int64(), 2**40), (pa.int32(), 1)),
        "floats": ((pa.float32(), 1.5), (pa.float64(), 1e300)),
        "dates": ((pa.date32(), dt.date(2020, 1, 1)), (pa.timestamp("us"), dt.datetime(2020, 1, 1, 1))),
        "decimals": ((pa.decimal128(5, 2), D("1.25")), (pa.decimal128(10, 3), D("1.125"))),
        "lists": ((pa.list_(pa.int32()), [1]), (pa.list_(pa.int64()), [2**40])),
    }.items():
        first, second = wider(*kinds)
        values = None
        if name == "dates":
            values = {"a": [{"a": dt.datetime(2020, 1, 1)}]}
        if name == "decimals":
            values = {"a": [{"a": D("1.250")}]}
        case = Case("widened_" + name, ["a"], widening=True, readers=["duckdb", "sail"]).version({"a": first}, values=values)
        yield case.version({"b": second}, "landing")


ODD = ["2021-12-06", "a b", "grüße 🎁", "50%", "a%20b", "a=b", "q\"'", "a+b", "~", "_x", ".y", "", "__HIVE_DEFAULT_PARTITION__", "x" * 60, "A", "a"]


def partitions():
    table = lambda n: pa.table({"id": pa.array([n], pa.int64())})
    files = {f"dt={value}/f{n}.parquet": table(n) for n, value in enumerate(ODD)}
    case = Case("odd_values", ["id", "dt"], ["dt"], checkpoints=[1]).version(files)
    case.version({f"dt={ODD[0]}/g.parquet": table(100)}, "landing")
    case.query("dt = 'a b'", lambda row: row["dt"] == "a b").query("dt IS NULL", lambda row: row["dt"] is None)
    yield case.query("dt = '50%'", lambda row: row["dt"] == "50%").query("dt > 'x'", lambda row: (row["dt"] or "") > "x")
    files = {f"x/dt=2021-12-0{day}/y/hr={hour}/f": table(10 * day + hour) for day in (1, 2) for hour in (1, 2)}
    yield Case("two_columns", ["id", "dt", "hr"], ["dt", "hr"]).version(files).query(
        "dt = '2021-12-01' AND hr = '2'", lambda row: (row["dt"], row["hr"]) == ("2021-12-01", "2")
    )
    both = pa.table({"dt": pa.array([dt.date(2020, 1, 1)], pa.date32()), "id": pa.array([1], pa.int64())})
    yield Case("also_in_the_file", ["id", "dt"], ["dt"]).version({"dt=2021-12-06/f": both}).query(
        "dt = '2021-12-06'", lambda row: True
    ).query("dt = '2020-01-01'", lambda row: False)
    upper = pa.table({"DT": pa.array([dt.date(2020, 1, 1)], pa.date32()), "id": pa.array([1], pa.int64())})
    yield Case("also_in_the_file_in_capitals", ["id", "dt"], ["dt"]).version({"dt=2021-12-06/f": upper})
    yield Case("other_columns", ["id", "dt"], ["dt"]).version({"dt=1/f": table(1), "f": table(2), "hr=1/f": table(3)}, misfits=["f", "hr=1/f"])


def statistics():
    def files(kind, values):
        return {f"{n}": column(kind, [value]) for n, value in enumerate(values)}

    big = [2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    case = Case("integers", ["a", "id"]).version(files(pa.int64(), big))
    for value in big[1:3]:
        case.query(f"a = {value}", lambda row, value=value: row["a"] == value)
    yield case.query("a > 9007199254740992", lambda row: row["a"] > 2**53)
    decimals = [D("1234567890123456789012345678.0123456789"), D("1234567890123456789012345678.0123456788"), D("0.5")]
    case = Case("decimals", ["a", "id"]).version(files(pa.decimal128(38, 10), decimals))
    yield case.query("a >= CAST('1234567890123456789012345678.0123456789' AS DECIMAL(38,10))", lambda row: row["a"] >= decimals[0])
    texts = ["x" * 31, "x" * 32, "x" * 33, "x" * 40, "é" * 40, "\U0010ffff" * 40, "", "a"]
    case = Case("texts", ["a", "id"]).version(files(pa.string(), texts))
    for value in texts:
        case.query(f"a = '{value}'", lambda row, value=value: row["a"] == value)
    yield case.query(f"a > '{'x' * 33}'", lambda row: row["a"] > "x" * 33)
    times = [dt.datetime(2026, 1, 1, 0, 0, 0, us) for us in (0, 1, 999, 1000, 999999)] + [dt.datetime(1969, 12, 31, 23, 59, 59, 999999)]
    case = Case("times", ["a", "id"]).version(files(pa.timestamp("us"), times))
    for value in times:
        case.query(f"a = TIMESTAMP_NTZ '{value}'", lambda row, value=value: row["a"] == value)
    yield case.query("a < TIMESTAMP_NTZ '1970-01-01 00:00:00'", lambda row: row["a"].year < 1970)
    dates = [dt.date(1, 1, 1), dt.date(1969, 12, 31), dt.date(9999, 12, 31)]
    case = Case("dates", ["a", "id"]).version(files(pa.date32(), dates))
    yield case.query("a = DATE '1969-12-31'", lambda row: row["a"].year == 1969).query("a > DATE '9999-01-01'", lambda row: row["a"].year == 9999)
    # NaN is greater than all numbers, in all of them. Where a file has others beside it, DuckDB and delta-rs miss it by the statistics
    # of Parquet itself, as they do without a table.
    numbers = [[1.0, 1.25], [2.0], [math.nan], [-0.0, 0.0], [-math.inf], [math.inf]]
    case = Case("floats", ["a", "id"]).version({f"{n}": column(pa.float64(), values) for n, values in enumerate(numbers)})
    case.query("a > CAST(1.5 AS DOUBLE)", lambda row: math.isnan(row["a"]) or row["a"] > 1.5)
    yield case.query("a < CAST(1.5 AS DOUBLE)", lambda row: row["a"] < 1.5).query("a = CAST(0 AS DOUBLE)", lambda row: row["a"] == 0)
    single = [[0.1], [0.2, 0.3], [16777216.0]]
    case = Case("single_floats", ["a", "id"]).version({f"{n}": column(pa.float32(), values) for n, values in enumerate(single)})
    yield case.query("CAST(a AS DOUBLE) > CAST(0.15 AS DOUBLE)", lambda row: row["a"] > 0.15)
    nulls = {"0": column(pa.int64(), [None, None]), "1": column(pa.int64(), [1, None]), "2": column(pa.int64(), [2])}
    case = Case("nulls", ["a", "id"]).version(nulls)
    yield case.query("a IS NULL", lambda row: row["a"] is None).query("a IS NOT NULL", lambda row: row["a"] is not None).query("a = 1", lambda row: row["a"] == 1)
    struct = lambda x: pa.table({"s": pa.array([x], pa.struct([("x", pa.int64())])), "id": pa.array([1], pa.int64())})
    yield Case("structs", ["s", "id"]).version({"0": struct({"x": 1}), "1": struct({"x": None}), "2": struct(None)})


def history():
    table = lambda n: pa.table({"id": pa.array([n], pa.int64())})
    case = Case("full_replaces", ["id"], checkpoints=[2])
    for version in range(5):
        case.version({f"f{n}": table(10 * version + n) for n in range(3)})
    yield case
    case = Case("many_commits", ["id"], checkpoints=[10, 20]).version({"f0": table(0)})
    for n in range(1, 25):
        case.version({f"f{n}": table(n)}, "landing", remove=[f"f{n - 2}"] if n % 3 == 0 else [])
    yield case
    case = Case("cleaned_log", ["id", "at"], checkpoints=[5, 15, 20], oldest_kept=17)
    naive = pa.table({"id": pa.array([1000], pa.int64()), "at": pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("us"))})
    case.version({"f0": naive})
    for n in range(1, 25):
        case.version({f"f{n}": table(n)}, "landing")
    yield case
    case = Case("a_checkpoint_is_the_last_commit", ["id"], checkpoints=[3], oldest_kept=3)
    for n in range(4):
        case.version({f"f{n}": table(n)}, "landing")
    yield case


def many():
    """The first version has 100,000 files, which the second one replaces; so they need not exist."""
    table = lambda n: pa.table({"id": pa.array([n], pa.int64())})
    yield Case("replaced", ["id"]).version({"f0": table(0)}).version({f"g{n}": table(n) for n in range(10)})
    yield Case("replaced_after_a_checkpoint", ["id"], checkpoints=[0]).version({"f0": table(0)}).version({f"g{n}": table(n) for n in range(10)})


def corpus():
    """Any files, with the rows that pyarrow reads in them; whether they fit is not known."""
    import glob

    for n, path in enumerate(sorted(glob.glob(f"{os.environ['LAKESHORE_DELTA_CORPUS']}/**/*.parquet", recursive=True))):
        try:
            table = pq.ParquetFile(path).read()
            rows = table.to_pylist()
        except BaseException as error:
            print(f"{path}: {error}", file=sys.stderr)
            continue
        case = Case(f"{n}-" + os.path.basename(path).replace(".", "-"), table.column_names)
        os.makedirs(f"{FOLDER}/{case.name}")
        case.spec["versions"].append({"kind": "publish", "files": [{"name": "f", "source": path, "fits": None}], "remove": []})
        case.spec["is_loose"], case.live = True, {"f": rows}
        yield case


GROUP, FOLDER = sys.argv[1:]
names = []
for case in globals()[GROUP]():
    case.write()
    names.append(case.name)
print("\n".join(names))
