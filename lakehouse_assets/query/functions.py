"""The functions that statements may call; none reads files, settings or DuckDB's catalog."""

from __future__ import annotations

from pathlib import Path

# Functions that may stand in FROM.
TABLE_FUNCTIONS = frozenset({"generate_series", "range", "unnest"})

FUNCTIONS = frozenset(Path(__file__).with_suffix(".txt").read_text("utf-8").split())

# What to write in DuckDB's SQL for functions of PostgreSQL and other databases.
INSTEAD = {
    "btrim": "trim(text, characters)",
    "charindex": "strpos(text, part)",
    "clock_timestamp": "now()",
    "date_bin": "time_bucket(width, moment)",
    "getdate": "now()",
    "initcap": "upper(left(text, 1)) || lower(substr(text, 2))",
    "json_agg": "json_group_array(value)",
    "json_build_object": "json_object(name, value)",
    "jsonb_agg": "json_group_array(value)",
    "jsonb_build_object": "json_object(name, value)",
    "nvl": "coalesce(value, other)",
    "regexp_match": "regexp_extract(text, pattern)",
    "to_char": "strftime(moment, '%Y-%m-%d') or format('{:.2f}', number)",
    "to_date": "strptime(text, '%Y-%m-%d')::date",
    "to_number": "text::decimal(18, 2)",
}
