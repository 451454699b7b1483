"""CSV files read by Spark, natively and distributed, with every record numbered.

Lines are read as text. Where every line that holds quotes is a whole record of its own, so is every
line of the file, and its records can be told apart in parallel; any other file is left to be read
record by record. A line's number follows from its place within its block of the file and the number
of lines in the blocks before.
"""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

from lakehouse_assets.engine.base import CsvFile, CsvRead, MalformedLine, column_count_reason
from lakehouse_assets.engine.types import Col, DataFrame

# Signs that Spark takes for a pattern of names, or for a part of an address.
_ODD_SIGNS = frozenset("*?[]{}\\:")
# Java's regular expressions need a stack as deep as a line has doubled quotes.
_LONGEST_QUOTED = 10_000
# A field as `csv_records.py` has it; possessive, so that no line takes time without end.
_FIELD = r',( ?"[^"]*+(?:""[^"]*+)*+" *+|(?! ?")[^,]*+)(?=,|\z)'
_PLACE = ("file", "start", "changed")


@dataclass(frozen=True)
class _Block:
    """A part of a file that one task reads.

    Attributes:
        path: The file.
        place: File, first byte and time of change as Spark names them.
        first: Mark of its first line.
        lines: Lines that start in it.
        doubtful: Whether a line may be no record of its own.
        malformed: Lines whose number of fields is wrong.
    """

    path: Path
    place: tuple[str, int, Any]
    first: int
    lines: int
    doubtful: bool
    malformed: int


def read_csv(session: Any, files: Sequence[CsvFile], columns: Sequence[str]) -> CsvRead:
    """Read CSV files as text, rows numbered per file in `_row_number`, bad lines apart."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    times = Counter(file.path.absolute() for file in files)
    wanted = {
        file.path.absolute(): file
        for file in files
        if _readable(file.path) and times[file.path.absolute()] == 1
    }
    blocks: list[_Block] = []
    numbered: DataFrame | None = None
    if wanted:
        lines = _lines(session, list(wanted), len(columns))
        # Whatever breaks Spark, such as zeros behind a packed file, does not break the others.
        with suppress(PySparkException, Py4JError):
            blocks = [block for block in _blocks(lines) if block.path in wanted]
    sure = {block.path for block in blocks} - {block.path for block in blocks if block.doubtful}
    blocks = [block for block in blocks if block.path in sure]
    constants = files[0].constants
    names = [*columns, "_row_number", *constants]
    if not blocks:
        return CsvRead(_no_rows(session, names, constants), [], {}, _paths(files))
    places = session.createDataFrame(_places(blocks, wanted))
    numbered = (
        lines.join(F.broadcast(places), list(_PLACE))
        .withColumn("_row_number", F.col("mark") - F.col("offset"))
        .filter(F.col("_row_number") > F.lit(0))
    )
    malformed: list[MalformedLine] = []
    if any(block.malformed for block in blocks):
        malformed = _malformed(numbered.filter(~F.col("sound")), wanted, len(columns))
    lost = Counter(line.path for line in malformed)
    counts = {
        wanted[path].path: sum(b.lines for b in blocks if b.path == path)
        - wanted[path].header
        - lost[wanted[path].path]
        for path in sure
    }
    fields = [F.nullif(F.get("fields", F.lit(i)), F.lit("")) for i in range(len(columns))]
    kept = [*fields, F.col("_row_number"), *[F.col(f"constant_{n}") for n in constants]]
    rows = numbered.filter(F.col("sound")).select(
        *[column.alias(name) for column, name in zip(kept, names, strict=True)]
    )
    unsure = _paths(files) - counts.keys()
    return CsvRead(rows=rows, malformed=malformed, counts=counts, unsure=unsure)


def _paths(files: Sequence[CsvFile]) -> frozenset[Path]:
    return frozenset(file.path for file in files)


def _readable(path: Path) -> bool:
    """Say whether Spark finds the file under its name, and unpacks it if it is packed."""
    packed_oddly = path.suffix != ".gz" and path.suffix.lower() == ".gz"
    hidden = path.name.startswith(("_", "."))
    return not (set(str(path)) & _ODD_SIGNS or packed_oddly or hidden)


def _lines(session: Any, paths: Collection[Path], width: int) -> DataFrame:
    """Read the lines that are records, each with its mark, its fields and what is wrong with it."""
    from pyspark.sql import functions as F

    text = session.read.text([str(path) for path in paths]).select(
        F.col("value").alias("line"),
        F.col("_metadata.file_path").alias("file"),
        F.col("_metadata.file_block_start").alias("start"),
        F.col("_metadata.file_modification_time").alias("changed"),
    )
    if width > 1:
        # With one column an empty line is a record like any other: an empty value.
        text = text.filter(F.col("line") != F.lit(""))
    quoted = F.col("line").contains('"')
    short = F.when(F.length("line") <= F.lit(_LONGEST_QUOTED), F.concat(F.lit(","), "line"))
    found = F.regexp_extract_all(short, F.lit(_FIELD), F.lit(1))
    # Marks grow by one from line to line as far as one task reads.
    marked = text.withColumns(
        {
            "mark": F.monotonically_increasing_id(),
            "raw": F.when(quoted, found).otherwise(F.split("line", ",", -1)),
        }
    )
    whole = F.concat_ws(",", "raw") == F.col("line")
    split = marked.select(
        "line",
        *_PLACE,
        "mark",
        F.when(quoted, F.transform("raw", _unquoted)).otherwise(F.col("raw")).alias("fields"),
        (quoted & ~F.coalesce(whole, F.lit(False))).alias("doubtful"),
    )
    beyond = F.slice("fields", F.lit(width + 1), F.size("fields"))
    enough = (F.size("fields") >= F.lit(width)) & ~F.exists(
        beyond, lambda field: field != F.lit("")
    )
    return split.withColumn("sound", F.coalesce(enough, F.lit(False)))


def _unquoted(field: Col) -> Col:
    from pyspark.sql import functions as F

    inside = F.regexp_replace(F.regexp_replace(field, r'^ ?"', ""), r'" *\z', "")
    return F.when(field.rlike(r'^ ?"'), F.replace(inside, F.lit('""'), F.lit('"'))).otherwise(field)


def _blocks(lines: DataFrame) -> list[_Block]:
    """Look at all lines once and say what each block of the files holds, in the files' order."""
    from pyspark.sql import functions as F

    found = lines.groupBy(*_PLACE).agg(
        F.min("mark").alias("first"),
        F.count(F.lit(1)).alias("lines"),
        F.max("doubtful").alias("doubtful"),
        F.count(F.when(~F.col("sound"), F.lit(1))).alias("malformed"),
    )
    rows = found.toArrow().to_pylist()
    return [
        _Block(
            _local_path(row["file"]),
            (row["file"], row["start"], row["changed"]),
            row["first"],
            row["lines"],
            row["doubtful"],
            row["malformed"],
        )
        for row in sorted(rows, key=lambda row: (row["file"], row["start"]))
    ]


def _local_path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def _places(blocks: Sequence[_Block], files: Mapping[Path, CsvFile]) -> Any:
    """Return, for each block, what its marks have to be reduced by, and its file's constants."""
    import pyarrow as pa

    before: dict[Path, int] = defaultdict(int)
    offsets = []
    for block in blocks:
        # A header has the number 0.
        unnamed = not files[block.path].header
        offsets.append(block.first - before[block.path] - unnamed)
        before[block.path] += block.lines
    file, start, changed = zip(*(block.place for block in blocks), strict=True)
    columns: dict[str, Any] = {
        "file": pa.array(file),
        "start": pa.array(start, pa.int64()),
        "changed": pa.array(changed, pa.timestamp("us", "UTC")),
        "offset": pa.array(offsets, pa.int64()),
    }
    for name in files[blocks[0].path].constants:
        columns[f"constant_{name}"] = pa.array(
            [files[block.path].constants[name] for block in blocks]
        )
    return pa.table(columns)


def _malformed(bad: DataFrame, files: Mapping[Path, CsvFile], width: int) -> list[MalformedLine]:
    """Fetch the malformed records and find the bytes at which they start."""
    from pyspark.sql import functions as F

    found = bad.select("file", "line", F.col("_row_number").alias("n"), F.size("fields").alias("s"))
    by_file: dict[Path, dict[int, tuple[str, int]]] = defaultdict(dict)
    for row in found.toArrow().to_pylist():
        by_file[_local_path(row["file"])][row["n"]] = (row["line"], row["s"])
    lines = []
    for path, records in by_file.items():
        starts = _starts(path, records.keys(), width > 1, 0 if files[path].header else 1)
        lines += [
            MalformedLine(files[path].path, starts[number], text, column_count_reason(size, width))
            for number, (text, size) in sorted(records.items())
        ]
    return lines


def _starts(path: Path, numbers: Collection[int], skip_blank: bool, number: int) -> dict[int, int]:
    """Find the bytes of the unpacked file at which records start; its first one has a number."""
    starts: dict[int, int] = {}
    position = 0
    with cast("IO[bytes]", gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as stream:
        for line in stream:
            if number in numbers:
                starts[number] = position
            position += len(line)
            number += not (skip_blank and line in {b"\n", b"\r\n"})
    return starts


def _no_rows(session: Any, names: Sequence[str], constants: Mapping[str, str | date]) -> DataFrame:
    kinds = {"_row_number": "bigint"} | {
        name: "date" for name, value in constants.items() if isinstance(value, date)
    }
    schema = ", ".join(f"`{name}` {kinds.get(name, 'string')}" for name in names)
    return session.createDataFrame([], schema)
