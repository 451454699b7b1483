"""`lakehouse new`: generates a working domain, dataset, gold table or model, with its test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated, Literal

import typer

import lakehouse_assets
from lakehouse_assets.cli.terminal import say
from lakehouse_assets.errors import LakehouseError

_PACKAGE = Path(lakehouse_assets.__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# SQL has schemas of these names, or gives them another meaning before a dot.
_SCHEMAS = frozenset({
    "information_schema", "landing", "main", "memory", "pg_catalog", "quality", "system", "temp",
    "views",
})  # fmt: skip
_IMPORTED = re.compile(r"(?m)(?:^from lakehouse_assets\.domains\.\w+\.domain import \w+\n)+")

_DOMAIN = '''\
"""The $domain domain."""

from datetime import date

from lakehouse_assets.catalog.datasets import Dataset
from lakehouse_assets.catalog.domain import Domain, declared_in
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.pages import Page
from lakehouse_assets.domains.$domain import datasets, gold, models, pages
from lakehouse_assets.ml.spec import ModelTable

$DOMAIN = Domain(
    name="$domain",
    owner="team:$domain",
    first_partition=date(2024, 1, 1),
    datasets=declared_in(datasets, Dataset),
    gold=declared_in(gold, GoldTable),
    pages=declared_in(pages, Page),
    models=declared_in(models, ModelTable),
)
'''
_DATASET = '''\
"""The dataset $domain/$name."""

from __future__ import annotations

from lakehouse_assets.catalog.datasets import Dataset, Field, silver_table
from lakehouse_assets.engine import vocabulary as v

$NAME = Dataset(
    domain="$domain",
    name="$name",
    grain="day",
    description="One record of the delivered CSV files.",
    owner="team:$domain",
    rows="One row per number; the first delivery of a number counts.",
    key="number",
    columns=(
        Field("number", "string", "Number of the record.", "Number", need="required",
              parse=v.text_id),
        Field("happened_on", "date", "Day of the event.", "Date", need="required",
              in_calendar=True),
        Field("label", "string", "Name of the record.", "Label"),
        Field("amount", "decimal(18,2)", "Amount; refunds are negative.", "Amount", need="fact",
              unit="US dollars"),
    ),
)  # fmt: skip
SILVER_$NAME = silver_table($NAME)
'''
_DATASET_TEST = '''\
"""$domain/$name: a delivered file becomes typed rows; unreadable values are quarantined."""

from decimal import Decimal

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.domains.$domain.datasets.$name import $NAME, SILVER_$NAME
from lakehouse_assets_tests.airline.samples import House

DELIVERY = "Number,Date,Label,Amount\\n1,2024-01-02,first,1.50\\n2,2024-01-02,second,a lot\\n"


def test_a_delivery_becomes_rows(house: House) -> None:
    folder = house.settings.landing / "$domain" / "$name" / "2024-01-02"
    folder.mkdir(parents=True)
    (folder / "$name.csv").write_text(DELIVERY, encoding="utf-8")
    assert house.run($NAME).errors == []
    (row,) = house.rows(SILVER_$NAME)
    assert (row["number"], row["label"], row["amount"]) == ("1", "first", Decimal("1.50"))
    assert house.count(quarantine_table($NAME)) == 1
'''
_TABLE = '''\
"""$domain.$name: its declaration, its rule and its inputs."""

from __future__ import annotations

from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.catalog.registry import Column, monthly_table
from lakehouse_assets.domains.$domain.datasets.$reads import SILVER_$READS
from lakehouse_assets.engine import DataFrame, F

$NAME = monthly_table(
    "$domain",
    "$name",
    "Rows of silver_$reads by day of delivery.",
    (
        Column("delivered_on", "date", "Day of delivery.", False),
        Column("row_count", "bigint", "Number of rows.", False, "count"),
    ),
    ("delivered_on",),
    "team:$domain",
    kind="aggregate",
)


def $name(rows: DataFrame) -> DataFrame:
    """Count rows by day of delivery.

    Args:
        rows: Rows of `silver_$reads` that were delivered in the month.
    """
    return rows.groupBy("delivered_on").agg(F.count(F.lit(1)).cast("bigint").alias("row_count"))


GOLD = (GoldTable($NAME, $name, {"rows": SILVER_$READS}),)
'''
_TABLE_TEST = '''\
"""$domain.$name: counts rows by day of delivery."""

from datetime import date

import pyarrow as pa

from lakehouse_assets.domains.$domain.gold.$name import $name
from lakehouse_assets.engine.base import Engine


def test_rows_are_counted_by_day(engine: Engine) -> None:
    days = [date(2024, 1, 2), date(2024, 1, 2), date(2024, 1, 3)]
    rows = engine.from_arrow(pa.table({"delivered_on": pa.array(days)}))
    found = engine.rows($name(rows))
    assert {row["delivered_on"].day: row["row_count"] for row in found} == {2: 2, 3: 1}
'''
_MODEL = '''\
"""The model $domain/$name: clusters of similar rows of $reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse_assets.catalog.registry import Column, monthly_table
from lakehouse_assets.domains.$domain.gold.$reads import $READS
from lakehouse_assets.ml.sampling import feature_matrix
from lakehouse_assets.ml.spec import Fitted, ModelSpec, ModelTable

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES = ("row_count",)
TABLE = monthly_table(
    "$domain",
    "$name",
    "Rows of $reads with the cluster of each.",
    (
        *(column for column in $READS.columns if column.name != "as_of_month"),
        Column("group_number", "int", "Cluster; null if a feature is missing.", unit="code"),
    ),
    ("delivered_on",),
    "team:$domain",
    kind="snapshot",
    layer="segments",
)


@dataclass(frozen=True)
class Settings:
    """Settings of a fit.

    Attributes:
        groups: Number of clusters.
    """

    groups: int = 2


def fit(rows: pa.Table, settings: Settings) -> Fitted:
    """Fit the clusters to the rows of a month."""
    from sklearn.cluster import KMeans

    model = KMeans(settings.groups, n_init=5, random_state=0)
    model.fit(feature_matrix(rows.select(FEATURES)))
    return Fitted(model, "KMeans", {"inertia": float(model.inertia_)})


def scorer(model: Any) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that finds the nearest centre of each row; null if a feature is missing."""
    import numpy as np
    import pyarrow as pa

    centres = np.asarray(model.cluster_centers_)

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = feature_matrix(batch)
        missing = ~np.isfinite(rows).all(axis=1)
        away = ((np.nan_to_num(rows)[:, None, :] - centres[None]) ** 2).sum(axis=2)
        nearest = pa.array(away.argmin(axis=1).astype("int32"), mask=missing)
        return pa.RecordBatch.from_arrays([nearest], names=["group_number"])

    return score


MODEL = ModelTable(
    ModelSpec(
        name="${domain}_$name",
        experiment="$domain $name",
        key="delivered_on",
        features=FEATURES,
        settings=Settings(),
        fit=fit,
        types=frozenset({"sklearn.cluster._kmeans.KMeans"}),
        scored={"group_number": "int"},
        scorer=scorer,
        output="integer",
        fewest=lambda settings: int(settings.groups),
        finish=lambda frame: frame.select(*TABLE.column_names),
    ),
    TABLE,
    $READS,
)
'''
_MODEL_TEST = '''\
"""$domain/$name: similar rows are in one cluster."""

import numpy as np
import pyarrow as pa

from lakehouse_assets.domains.$domain.models.$name import FEATURES, Settings, fit, scorer


def test_similar_rows_are_in_one_cluster() -> None:
    counts = [1.0, 2.0, 90.0, 91.0, None]
    rows = pa.table(dict.fromkeys(FEATURES, counts))
    fitted = fit(rows.slice(0, 4), Settings())
    (batch,) = rows.to_batches()
    one, other, high, higher, nothing = scorer(fitted.model)(batch)["group_number"].to_pylist()
    assert one == other != high == higher
    assert nothing is None
    assert np.isfinite(fitted.metrics["inertia"])
'''
_TEMPLATES = {
    "dataset": (_DATASET, _DATASET_TEST),
    "table": (_TABLE, _TABLE_TEST),
    "model": (_MODEL, _MODEL_TEST),
}


def new(
    kind: Annotated[
        Literal["domain", "dataset", "table", "model"], typer.Argument(help="What to generate.")
    ],
    name: Annotated[
        str, typer.Argument(help="Name in lower case: <domain>/<name>, or that of a new domain.")
    ],
    reads: Annotated[
        str,
        typer.Option(
            "--reads", help="Dataset that the new table reads, or gold table that the model reads."
        ),
    ] = "",
) -> None:
    """Generate a working domain, dataset, gold table or model, with a test.

    Existing files are not overwritten.
    """
    if kind == "domain":
        _new_domain(name)
        return
    domain, slash, own = name.partition("/")
    if not slash:
        raise LakehouseError(f"Write <domain>/<name>, such as shop/{name}.")
    folder = _PACKAGE / "domains" / domain
    _require(folder / "domain.py", f"domain {domain}")
    if kind != "dataset":
        read, inputs = ("dataset", "datasets") if kind == "table" else ("gold table", "gold")
        if not reads:
            raise LakehouseError(f"Name a {read} of {domain} with --reads.")
        _require(folder / inputs / f"{reads}.py", f"{read} {reads!r} for --reads")
    made = {"dataset": "datasets", "table": "gold", "model": "models"}
    code, test = _TEMPLATES[kind]
    files = {
        folder / made[kind] / f"{_checked(own, code)}.py": code,
        _tests(domain) / f"test_{own}.py": test,
    }
    _write(files, domain=domain, name=own, reads=reads)


def _new_domain(name: str) -> None:
    """Write a folder of declarations, and add the domain to DOMAINS."""
    registered = _PACKAGE / "domains" / "__init__.py"
    listed = registered.read_text(encoding="utf-8")
    folder = registered.parent / _checked(name, listed)
    if name in _SCHEMAS:
        raise LakehouseError(f"A domain cannot be called {name} in SQL; choose another name.")
    line = f"from lakehouse_assets.domains.{name}.domain import {name.upper()}\n"
    text, lists = _IMPORTED.subn(
        lambda lines: "".join(sorted([*lines[0].splitlines(keepends=True), line])), listed
    )
    text, found = re.subn(r"(?m)^DOMAINS = \((.*)\)$", rf"DOMAINS = (\1, {name.upper()})", text)
    if (lists, found) != (1, 1):
        raise LakehouseError(
            f"{registered} has no list of imported domains, or no line DOMAINS = (...); add the "
            "domain by hand."
        )
    files = {
        folder / "__init__.py": '"""The $domain domain."""\n',
        folder / "domain.py": _DOMAIN,
        folder / "datasets" / "__init__.py": '"""Datasets, one per module."""\n',
        folder / "gold" / "__init__.py": '"""Gold tables, one topic per module."""\n',
        folder / "models" / "__init__.py": '"""Models, one per module."""\n',
        folder / "pages" / "__init__.py": '"""Pages, one per module."""\n',
        _tests(name) / "__init__.py": '"""Tests of the $domain domain."""\n',
    }
    _write(files, domain=name)
    registered.write_text(text, encoding="utf-8")
    say(f"{registered} (added {name.upper()} to DOMAINS)")


def _checked(name: str, code: str) -> str:
    """Return a name if it can be that of a module, and in upper case of a constant in some code."""
    if not _NAME.fullmatch(name):
        raise LakehouseError(
            f"{name!r} is not a valid name; start with a letter and use a to z, digits and _, such "
            "as store_sales."
        )
    if keyword.iskeyword(name):
        raise LakehouseError(f"{name} is a keyword of Python; choose another name.")
    if re.search(rf"\b{name.upper()}\b", code):
        raise LakehouseError(
            f"{name} cannot be used, because {name.upper()} already exists in the same module; "
            "choose another name."
        )
    return name


def _require(file: Path, what: str) -> None:
    if not file.is_file():
        raise LakehouseError(
            f"There is no {what} ({file} is missing); create it first with `lakehouse new`, or use "
            "another name."
        )


def _tests(domain_name: str) -> Path:
    folder = _PACKAGE.parent / f"{_PACKAGE.name}_tests"
    if not folder.is_dir():
        raise LakehouseError(
            f"{_PACKAGE.parent} is not a checkout of the project; clone the project and run `make "
            "setup`."
        )
    return folder / domain_name


def _write(templates: dict[Path, str], **values: str) -> None:
    """Write files from templates; nothing is written if one of them exists."""
    for path in templates:
        if path.exists():
            raise LakehouseError(
                f"{path} already exists; choose another name, or change that file."
            )
    given = {**values, **{key.upper(): value.upper() for key, value in values.items()}}
    for path, text in templates.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(given), encoding="utf-8")
        say(str(path))
