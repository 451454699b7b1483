"""A writer with a Spark of its own: `python -m lakehouse_assets_tests.lake.spark_writer JARS ROOT`.

It says `ready` and then obeys its input: `replace DAY TIMES` replaces one day of the table that
often; `refuse NUMBER` tries to write rows with it that break a rule, and repeats what it is told;
`hang MARKER` begins to replace the second day, makes the file once rows are computed, and hangs.
"""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

from lakehouse_assets.engine.spark_session import SparkConfig
from lakehouse_assets.engine.start import start_engine
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets_tests.engine.small import SMALL
from lakehouse_assets_tests.lake.samples import COMMIT, DAILY, day, frame, make_lake, put, window
from lakehouse_assets_tests.lake.writer import say


def main(jars: str, root: str) -> None:
    """Write as told."""
    config = SparkConfig("local[1]", jars=Path(jars), memory="1g", options=SMALL)
    engine = start_engine("spark", spark=config)
    lake = make_lake(root, engine=engine)
    say("ready")
    for line in sys.stdin:
        order, argument, *times = line.split()
        if order == "replace":
            for number in range(int(times[0])):
                put(lake, DAILY, window(int(argument), int(argument)), rows(int(argument), number))
            say("done")
        elif order == "refuse":
            number = int(argument)
            for row in ((day(2), -number, argument), (day(9), number, argument)):
                try:
                    put(lake, DAILY, window(2, 2), [row])
                except LakehouseError as error:
                    say(" ".join(traceback.format_exception(error)).replace("\n", " "))
        else:

            def hang(identity: int, marker: str = argument) -> int:
                Path(marker).touch()
                time.sleep(300)
                return identity

            slow = frame(lake, DAILY, [(day(2), 9, "never")])
            slow = slow.withColumn("id", lake.engine.functions.udf(hang, "bigint")("id"))
            lake.write(DAILY, slow, window(2, 2), COMMIT)


def rows(number: int, time: int) -> list[tuple[object, ...]]:
    """Make the rows of a day, as it is written for that time."""
    return [(day(number), time * 10 + i, "spark") for i in range(3)]


if __name__ == "__main__":
    main(*sys.argv[1:])
