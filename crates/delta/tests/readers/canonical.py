"""Values of any reader as JSON that is the same for the same value."""

import datetime as dt
import decimal
import math


def canonical(value):
    if isinstance(value, dict):
        return {key: canonical(part) for key, part in value.items()}
    if hasattr(value, "asDict"):
        return canonical(value.asDict())
    is_pair = lambda part: isinstance(part, (list, tuple)) and len(part) == 2 and not hasattr(part, "asDict")
    if isinstance(value, (list, tuple)) and value and all(map(is_pair, value)):
        # A map, as a list of pairs.
        return {str(key): canonical(part) for key, part in value}
    if isinstance(value, (list, tuple)):
        # A map without entries may be a list without elements.
        return [canonical(part) for part in value] or {}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes " + bytes(value).hex()
    if isinstance(value, dt.datetime):
        value = dt.datetime(*value.timetuple()[:6], value.microsecond, tzinfo=value.tzinfo)
        # Sail gives instants as local times of the zone of its session, which is UTC.
        return "time " + (value.astimezone(dt.timezone.utc) if value.tzinfo else value).replace(tzinfo=None).isoformat()
    if isinstance(value, dt.date):
        return "date " + value.isoformat()
    if isinstance(value, decimal.Decimal):
        return f"decimal {value:f}"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else repr(value + 0.0)
    if hasattr(value, "bytes"):
        return "bytes " + value.bytes.hex()
    if isinstance(value, dt.time):
        return value.isoformat()
    return value
