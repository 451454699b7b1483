"""`lakehouse models evaluate churn`: what it prints, and files that it refuses."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.models import churn_evaluation
from lakehouse_assets.domains.retail.models.churn import (
    SOURCES,
    ChurnSettings,
    categories_of,
    fit_churn,
    spline_regression,
)
from lakehouse_assets.domains.retail.models.churn_evaluation import (
    CHURN_EVALUATION,
    read_customers,
)
from lakehouse_assets.domains.retail.models.churn_model import (
    CANDIDATES,
    FEATURES,
    encode,
    top_reasons,
)
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml import binary
from lakehouse_assets.sample.retail.customers import columns_of, new_customers
from lakehouse_assets_tests.retail.test_customers import REAL

QUICK = ChurnSettings(trees=40, penalties=(0.1,), depths=(2,), learning_rates=(0.1,))
HEADER = [field.source for field in CUSTOMERS.columns if field.source]
Row = dict[str, Any]


def people(size: int = 500, seed: int = 1) -> list[Row]:
    """Generate customers as a file has them."""
    made = columns_of(new_customers(np.random.default_rng(seed), size))
    return [dict(zip(made, map(str, row), strict=True)) for row in zip(*made.values(), strict=True)]


def written(path: Path, rows: list[Row], header: list[str] | None = None) -> Path:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, header or list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    data = out.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def evaluate(path: Path, seeds: str = "0") -> dict[str, Any]:
    given = {"data": str(path), "seeds": seeds}
    parsed = {a.name: a.parse(given[a.name]) for a in CHURN_EVALUATION.arguments}
    return CHURN_EVALUATION.run(parsed, lambda _: None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few settings to choose from, where the choice proves nothing more."""
    monkeypatch.setattr(churn_evaluation, "ChurnSettings", lambda seed: replace(QUICK, seed=seed))


@pytest.mark.usefixtures("quick")
def test_a_file_from_elsewhere_is_evaluated(
    lakehouse: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Another order of columns, one more column, blanks, other spellings; one object on stdout."""
    rows = people()
    other = [{name: row[name] for name in sorted(row)} | {"Notes": 'a, "b"'} for row in rows]
    for number, row in enumerate(other):
        row["Churn"] = {"Yes": " yes", "No": "0"}[row["Churn"]]
        row["SeniorCitizen"] = {"0": "No", "1": "Yes"}[row["SeniorCitizen"]]
        row["UnitPrice"] += ".0"
        if number >= len(rows) - 2:
            row["TotalAmount"] = " "
    other += [row | {"CustomerID": f"x{n}", "Churn": ""} for n, row in enumerate(other[:3])]
    packed = written(tmp_path / "other.csv.gz", other)
    given = ("--data", str(packed), "--seeds", "3", "--json")
    code, out, said = lakehouse("models", "evaluate", "churn", *given)
    assert code == 0, said
    found = json.loads(out)
    assert len(out.splitlines()) == 1
    assert "seed 3, split 5 of 5" in said
    unpaid = sum(not row["TotalAmount"].strip() for row in rows[:-2])
    assert (found["customers"], found["left_out"]) == (len(rows) - 2 - unpaid, 5 + unpaid)
    # The values are those of the same rows in a plain file.
    plain = read_customers(written(tmp_path / "plain.csv", rows[:-2]))
    read = read_customers(packed)
    assert read[0].equals(plain[0])
    assert read[1].tolist() == plain[1].tolist()
    assert found["by_seed"].keys() == {"3"}
    assert found["by_seed"]["3"] == found["mean"] == found["models"]["refitted"]
    assert found["splits"] == {"scores": 1, "gain": 5}
    assert {"logistic", "random_forest", "splines", "xgboost", "blend"} < found["models"].keys()
    assert found["gain"]["low"] < found["gain"]["mean"] < found["gain"]["high"]
    # Churn of the generated customers can be learned; half of them are no better than chance.
    assert found["mean"]["auc"] > 0.7


def test_help_names_every_argument(lakehouse: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = lakehouse("models", "evaluate", "churn", "--help")
    assert code == 0
    for text in ("--data", "--seeds", "--json", "tenure_month", "0-4 or 0,3,7"):
        assert text in out
    code, _, said = lakehouse("models", "evaluate", "chrun", "--data", "x")
    assert code == 1
    assert said == (
        "Error: There is no model chrun to evaluate; did you mean churn? Models to evaluate: "
        "churn, forecast, maintenance, sentiment.\n"
    )


def one_class(rows: list[Row]) -> list[Row]:
    return [row | {"Churn": "No"} for row in rows]


def semicolons(rows: list[Row]) -> list[Row]:
    """Make one column of all, as a semicolon file read with commas has."""
    return [{";".join(row): ";".join(map(str, row.values()))} for row in rows]


def copied(column: str) -> Callable[[list[Row]], list[Row]]:
    """Write the label into a column, in other words."""
    return lambda rows: [row | {column: {"Yes": "A", "No": "B"}[row["Churn"]]} for row in rows]


BAD: Mapping[str, tuple[Callable[[list[Row]], list[Row]], str]] = {
    "other columns": (lambda rows: [{"a": "1", "b": "2"} for _ in rows], "lacks the columns tenu"),
    "a column too few": (
        lambda rows: [{k: v for k, v in row.items() if k != "Brand"} for row in rows],
        "lacks the column Brand",
    ),
    "semicolons": (semicolons, r"is separated by ';'; export it with commas"),
    "one class": (one_class, "0 of them left. Provide at least"),
    "few rows": (lambda rows: rows[:20], "20 customers have Churn"),
    "a copy among the features": (
        copied("OrderStatus"),
        "OrderStatus alone nearly determines Churn",
    ),
    "a copy beside them": (copied("Left"), "Left alone nearly determines Churn"),
    "a number copy": (
        lambda rows: [row | {"TotalAmount": 9 if row["Churn"] == "No" else 5} for row in rows],
        "TotalAmount alone nearly determines Churn",
    ),
    "not a number": (
        lambda rows: [*rows[:2], rows[2] | {"UnitPrice": "12,50"}, *rows[3:]],
        "record 3: UnitPrice is '12,50'",
    ),
    "too large a number": (
        lambda rows: [rows[0] | {"tenure_month": "1e300"}, *rows[1:]],
        "record 1: tenure_month is '1e300'",
    ),
    "a number of Python": (
        lambda rows: [rows[0] | {"TotalAmount": "1_000"}, *rows[1:]],
        "record 1: TotalAmount is '1_000'",
    ),
    "not a label": (lambda rows: [rows[0] | {"Churn": "maybe"}, *rows[1:]], "Churn is 'maybe'"),
    "customers twice": (lambda rows: rows + rows[:7], "7 customers in several rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    change, said = BAD[case]
    path = written(tmp_path / "bad.csv", change(people()))
    with pytest.raises(LakehouseError, match=said) as refused:
        read_customers(path)
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value).splitlines()) == 1


def test_odd_customers_have_a_probability(tmp_path: Path) -> None:
    """Constants, columns without a value, and texts that were not there at the fit."""
    rows = [row | {"UnitPrice": "5", "tenure_month": "", "Gender": ""} for row in people(300)]
    table, labels, _ = read_customers(written(tmp_path / "odd.csv", rows))
    others, *_ = read_customers(
        written(tmp_path / "new.csv", [r | {"PaymentMethod": r["CustomerID"]} for r in people(300)])
    )
    model, _ = fit_churn(table, labels, QUICK)
    for asked in (table, others):
        found = model.predict(asked)
        assert ((found > 0) & (found < 1)).all()


def test_the_plain_numbers_give_the_probabilities_of_the_fitted_splines(tmp_path: Path) -> None:
    """Also beyond the numbers that were fitted, and where numbers are missing."""
    rows = people(400)
    table, labels, _ = read_customers(written(tmp_path / "fitted.csv", rows))
    far = [row | {"tenure_month": n, "TotalAmount": 90 * n} for n, row in enumerate(rows)]
    far += [row | {"CustomerID": f"x{n}", "UnitPrice": ""} for n, row in enumerate(rows[:20])]
    asked, *_ = read_customers(written(tmp_path / "asked.csv", far))
    categories = categories_of(table)
    fitted = spline_regression(categories, 0.1, 6).fit(encode(table, categories), labels)
    model, _ = fit_churn(table, labels, QUICK)
    for some in (table, asked):
        expected = fitted.decision_function(encode(some, categories))
        assert model.logits(some)["splines"] == pytest.approx(expected, rel=0, abs=1e-12)


def test_a_customer_has_the_same_score_in_every_batch_and_three_reasons(
    tmp_path: Path,
) -> None:
    rows, labels, _ = read_customers(written(tmp_path / "customers.csv", people(400)))
    model, held_out = fit_churn(rows, labels, QUICK)
    whole = model.predict(rows)
    for place in range(0, 100, 7):
        assert model.predict(rows.slice(place, 1))[0] == whole[place]
    # Predictions out of fold are no better than those of rows that were fitted, and no worse than
    # chance.
    assert 0.5 < roc_auc_score(labels, held_out) < roc_auc_score(labels, whole)
    # What columns add accounts for all differences between customers, whichever candidate it is.
    for chosen in CANDIDATES:
        other = replace(model, chosen=chosen)
        logits = model.slope * model.logits(rows)[chosen]
        rest = logits - other.contributions(encode(rows, other.categories)).sum(axis=1)
        assert rest == pytest.approx(np.full(len(rest), rest[0]), abs=1e-9)
    first, second, third = top_reasons(
        model.contributions(encode(rows, model.categories)), rows.to_batches()[0], SOURCES
    )
    assert {text.split(" is ")[0] for text in first.to_pylist()} <= {
        SOURCES[name] for name in FEATURES
    }
    risky = int(np.argmax(whole))
    assert len({reason[risky].as_py() for reason in (first, second, third)} - {None}) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [(None, "does not exist"), (b"", "is empty"), (b"a;b\n1;2\n", "lacks the columns"),
     (b"PK\x03\x04zip", "is a ZIP archive"), (",".join(HEADER).encode() + b"\n1,2\n", "line 2")],
)  # fmt: skip
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "file.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(LakehouseError, match=said):
        read_customers(path)


@pytest.mark.usefixtures("quick")
def test_resampled_customers_are_refused(tmp_path: Path) -> None:
    """Leavers are repeated under other numbers, before the file is split."""
    rows = people(1_500)
    leavers = [row for row in rows if row["Churn"] == "Yes"]
    copies = [row | {"CustomerID": f"{row['CustomerID']}-{n}"} for n in (1, 2) for row in leavers]
    with pytest.raises(LakehouseError, match="agree with identical rows of the training part"):
        evaluate(written(tmp_path / "copies.csv", rows + copies))


def test_the_reference_s_customers_are_predicted_as_well_as_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the scored split and one more; the others prove nothing more."""
    if not REAL.exists():
        pytest.skip(f"{REAL} is not there")
    splits = binary.splits
    monkeypatch.setattr(binary, "splits", lambda *given: islice(splits(*given), 2))
    found = evaluate(REAL, "0")
    assert found["customers"] == 7_032
    assert 0.85 < found["mean"]["auc"] < 0.86
    assert found["mean"]["brier"] < 0.133
    assert found["models"]["random_forest"]["auc"] < 0.81
    assert found["gain"]["mean"] > 0.002
