"""Compares Lakeshore's previews of files with readings by pyarrow, DuckDB and Polars: `make corpus CORPUS=folder`.

    python3 compare.py list FOLDER > LIST        the files of a folder, for the reader
    python3 compare.py compare READINGS          a table of differences; exit code 1 if there are any
"""
import datetime as dt, decimal, json, math, os, re, sys, uuid

ENDINGS = (".parquet", ".csv", ".tsv", ".psv", ".csv.gz", ".jsonl", ".ndjson", ".jsonl.gz")
ROWS = 50
CELL = 200


def files(folder):
    for here, _, names in sorted(os.walk(folder)):
        yield from (os.path.abspath(os.path.join(here, name)) for name in sorted(names) if name.lower().endswith(ENDINGS))


def text(value, within=False):
    """Formats a value as Lakeshore does."""
    if value is None:
        return "null" if within else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, dt.datetime):
        zone = "Z" if value.tzinfo else ""
        return digits(value.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat() if zone else value.isoformat()) + zone
    if isinstance(value, dt.time):
        return digits(value.replace(tzinfo=None).isoformat())
    if isinstance(value, (dt.date, int, uuid.UUID)):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(key, True)}: {text(of, True)}" for key, of in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
            return "{" + ", ".join(f"{text(key, True)}: {text(of, True)}" for key, of in value) + "}"
        return "[" + ", ".join(text_of_item(item) for item in value) + "]"
    return str(value)


def text_of_item(item):
    shown = text(item, True)
    return repr(shown) if isinstance(shown, float) else str(shown)


def digits(time):
    """Keeps 0, 3, 6 or 9 fractional digits."""
    whole, dot, part = time.partition(".")
    part = part.ljust(9, "0")
    while part.endswith("000"):
        part = part[:-3]
    return whole + (dot + part if part else "")


def agree(shown, value):
    wanted = text(value)
    if shown is None and str(wanted).lower() in ("null", "\\n", ""):
        return True  # each reader has an option for it
    if shown is None or wanted is None:
        return shown == wanted
    if isinstance(wanted, float):
        try:
            number = float(shown)
        except ValueError:
            return False
        return number == wanted or (math.isnan(number) and math.isnan(wanted)) or math.isclose(number, wanted, rel_tol=1e-6)
    plain = lambda text: text.replace('"', "").replace("\\", "").replace(" ", "")
    if shown.endswith("…") and len(shown) > CELL:
        return plain(wanted).startswith(plain(shown[:-1]))
    return plain(shown) == plain(wanted) or loosely(shown, wanted)


def loosely(shown, wanted):
    """Compares numbers within lists with a tolerance, since each library rounds differently."""
    split = lambda text: text.strip("[]{}").replace("}", "").replace("{", "").replace(":", ",").split(",")
    one, other = split(shown), split(wanted)
    if len(one) != len(other):
        return False
    for left, right in zip(one, other):
        left, right = left.strip(' "'), right.strip(' "')
        if left != right:
            try:
                if not math.isclose(float(left), float(right), rel_tol=1e-6):
                    return False
            except ValueError:
                return False
    return True


def by_pyarrow(path):
    import pyarrow as pa, pyarrow.parquet as pq
    file = pq.ParquetFile(path)
    table = file.read()
    rows = table.slice(0, ROWS)
    columns = []
    for column in rows.columns:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            columns.append([None if value is None else nanoseconds(value, column.type.tz) for value in column.cast(pa.int64()).to_pylist()])
        else:
            columns.append(column.to_pylist())
    return table.column_names, [list(row) for row in zip(*columns)], table.num_rows


def nanoseconds(value, zone):
    seconds, part = divmod(value, 10**9)
    at = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    return digits(f"{at.isoformat()}.{part:09}") + ("Z" if zone else "")


def by_duckdb(path):
    import duckdb
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    quoted = path.replace("'", "''")
    ending = path.lower()
    if ending.endswith(".parquet"):
        source = f"read_parquet('{quoted}')"
    elif ending.endswith((".jsonl", ".ndjson", ".jsonl.gz")):
        source = f"read_json('{quoted}', format = 'newline_delimited')"
    else:
        names = con.execute(f"select * from read_csv('{quoted}')").description
        source = f"read_csv('{quoted}', all_varchar = true)" if names else ""
    rows = con.execute(f"select * from {source} limit {ROWS}")
    names = [column[0] for column in rows.description]
    shown = [list(row) for row in rows.fetchall()]
    return names, shown, con.execute(f"select count(*) from {source}").fetchone()[0]


def by_polars(path):
    import polars as pl
    ending = path.lower()
    if ending.endswith(".parquet"):
        frame = pl.read_parquet(path)
    elif ending.endswith((".jsonl", ".ndjson", ".jsonl.gz")):
        frame = pl.read_ndjson(path)
    else:
        frame = pl.read_csv(path, infer_schema=False)
    return frame.columns, [list(row) for row in frame.head(ROWS).rows()], frame.height


def numbered(name):
    """`column0`, `column00`, `column_1` and `column1`: names that a file does not have are each reader's own."""
    return "column" if re.fullmatch(r"column_?[0-9]+|", name) else name


def unique(name, before):
    """A name as the file has it: some readers number those that are there twice, or missing."""
    for number in ("_1", "_2", "_duplicated_0", "_duplicated_1"):
        if name.removesuffix(number) in before:
            return name.removesuffix(number)
    return name


def differences(reading, names, rows, count):
    problem = reading.get("problem")
    shown = [column["name"] for column in (reading.get("schema") or {"columns": []})["columns"]]
    if reading.get("schema") is None:
        return [f"not read: {problem}"]
    found = []
    names = [numbered(name) for name in names]
    shown = [numbered(name) for name in shown]
    names = [unique(name, names[:at]) for at, name in enumerate(names)]
    if shown != names[: len(shown)] or (len(names) <= 100 and len(names) != len(shown)):
        found.append(f"columns {shown[:6]}, not {names[:6]}")
    if reading.get("row_count") not in (None, count):
        found.append(f"{reading['row_count']} rows, not {count}")
    for number, (row, wanted) in enumerate(zip(reading["rows"], rows)):
        for name, one, other in zip(shown, row, wanted):
            if not agree(one, other):
                found.append(f"row {number}, {name}: {one!r}, not {text(other)!r}"[:300])
                break
        if len(found) > 3:
            break
    if problem and not found:
        found.append(f"problem: {problem}")
    return found


def compare(readings):
    num_files, num_different = 0, 0
    for line in open(readings):
        line = json.loads(line)
        path, reading = line["path"], line["reading"]
        libraries = [("duckdb", by_duckdb), ("polars", by_polars)]
        if path.lower().endswith(".parquet"):
            libraries.insert(0, ("pyarrow", by_pyarrow))
        results = {}
        for name, read in libraries:
            try:
                results[name] = differences(reading, *read(path))
            except BaseException as error:
                results[name] = None if isinstance(error, Exception) else None
                results[name + " fails"] = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        judged = [found for found in (results.get(name) for name, _ in libraries) if found is not None]
        num_files += 1
        # One library that agrees is enough.
        is_different = bool(judged) and all(judged)
        num_different += is_different
        if is_different or (not judged and reading.get("problem") is None):
            print(("DIFFERENT " if is_different else "ALONE     ") + os.path.relpath(path))
            for name, found in results.items():
                for one in found if isinstance(found, list) else [found]:
                    print(f"    {name}: {one}")
    print(f"{num_files} files, {num_different} that no library reads so")
    return 1 if num_different else 0


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print("\n".join(files(sys.argv[2])))
    else:
        sys.exit(compare(sys.argv[2]))
