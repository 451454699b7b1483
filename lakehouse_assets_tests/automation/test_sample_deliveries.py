"""The deliveries beside the sample do what docs/how-to/deliveries.md says, under real sensors."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from lakehouse_assets.catalog.datasets import bronze_table, quarantine_table, rejects_table
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.sample.airline.deliveries import DeliveriesConfig, write_deliveries
from lakehouse_assets_tests.airline.samples import REPOSITORY, House
from lakehouse_assets_tests.automation.caretaker import Caretaker

TABLES = (
    bronze_table(TRANSACTIONS), rejects_table(TRANSACTIONS), SILVER_TRANSACTIONS,
    quarantine_table(TRANSACTIONS),
)  # fmt: skip
DELIVERIES = REPOSITORY / "deliveries"
PAGE = REPOSITORY / "docs" / "how-to" / "deliveries.md"
_ASKED = re.compile(
    r"^```sh\n(lakehouse sql (?:.*\n)*?)```\n\n```text\n((?:.*\n)*?)```$", re.MULTILINE
)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_make_sample_writes_the_same_bytes(tmp_path: Path) -> None:
    write_deliveries(tmp_path, DeliveriesConfig())
    assert bytes_of(tmp_path) == bytes_of(DELIVERIES)
    assert sum(map(len, bytes_of(DELIVERIES).values())) < 30_000


def test_each_delivery_does_what_its_page_says(
    house: House, lakehouse: Callable[..., tuple[int, str, str]]
) -> None:
    landing = Path(house.settings.landing)
    path = Path("airline") / "transactions"
    for day in sorted((REPOSITORY / "data" / path).glob("2014-03-*")):
        shutil.copytree(day, landing / path / day.name)
    with dg.DagsterInstance.ephemeral() as instance:
        caretaker = Caretaker(house, instance)
        caretaker.settle()
        caretaker.run([dg.AssetKey(t.key) for t in TABLES], "2014-03-01", "2014-03-31")
        assert caretaker.deliveries("transactions") == []
        stored = house.count(SILVER_TRANSACTIONS)

        for delivery in sorted(DELIVERIES.iterdir()):
            shutil.copytree(delivery, landing, dirs_exist_ok=True)
        caretaker.settle()
        days = ["2014-03-11", "2014-03-15", "2014-03-22", "2014-04-01"]
        assert sorted(caretaker.deliveries("transactions")) == [(day, day) for day in days]
        assert caretaker.late() == [("2014-03-17", "2014-03-17")]
        assert caretaker.deliveries("transactions") == []
    # A purchase of the late day moved; the correction has as many rows as before.
    assert house.count(SILVER_TRANSACTIONS) == stored + 25 + (9 - 1) + 5
    broken = "delivered_on = DATE '2014-03-22'"
    # One of the two rejects is the file that was cut off.
    assert [house.count(table, broken) for table in TABLES] == [8, 2, 5, 3]

    asked = _ASKED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(asked) == 5
    for command, shown in asked:
        words = shlex.split(command.replace("\\\n", ""))
        code, out, err = lakehouse(*words[1:])
        assert (code, err) == (0, "")
        found = [line.rstrip() for line in out.splitlines()]
        assert found == [line.rstrip() for line in shown.splitlines()], command
