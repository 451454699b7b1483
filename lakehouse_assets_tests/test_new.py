"""`lakehouse new`: each skeleton passes its test as written, and the pipeline fills its tables."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse_assets_tests.airline.samples import REPOSITORY
from lakehouse_assets_tests.test_docs import blocks

CODE = ("lakehouse_assets", "lakehouse_assets_tests")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project's code, to which things are added."""
    for name in CODE:
        leave_out = shutil.ignore_patterns("node_modules")
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=leave_out)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


def python(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the copy, with its settings and stores in the copy too."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        env={**kept, "PYTHONPATH": str(checkout), "LAKEHOUSE_HOME": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_domain_from_skeletons_passes_its_tests_and_is_built(checkout: Path) -> None:
    for arguments in (
        ("domain", "bakery"),
        ("domain", "shop"),
        ("dataset", "shop/orders"),
        ("table", "shop/order_days", "--reads", "orders"),
        ("model", "shop/order_groups", "--reads", "order_days"),
    ):
        done = python(checkout, "lakehouse_assets", "new", *arguments)
        assert done.returncode == 0, done.stderr
    changed = [path for path in (checkout / CODE[0]).rglob("*.py") if not same(path, checkout)]
    assert [path.relative_to(checkout).as_posix() for path in changed] == [
        "lakehouse_assets/domains/__init__.py"
    ], "of the files that were there"
    add_page_of_the_documentation(checkout)
    lint = python(checkout, "ruff", "check", "--no-cache", f"{CODE[0]}/domains", f"{CODE[1]}/shop")
    assert lint.returncode == 0, lint.stdout
    tests = python(checkout, "pytest", "-q", "-p", "no:cacheprovider", f"{CODE[1]}/shop")
    assert "3 passed" in tests.stdout, tests.stdout + tests.stderr
    for day in ("2024-01-02", "2024-01-03", "2024-01-04"):
        folder = checkout / "data" / "shop" / "orders" / day
        folder.mkdir(parents=True)
        numbers = range(1 if day != "2024-01-04" else 40)
        rows = "".join(f"{day}-{n},{day},x,{n}.50\n" for n in numbers)
        (folder / "orders.csv").write_text(f"Number,Date,Label,Amount\n{rows}", encoding="utf-8")
    done = python(checkout, "lakehouse_assets", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    lake = checkout / ".lakehouse" / "lake" / "shop"
    assert DeltaTable(lake / "silver_orders").to_pyarrow_table().num_rows == 42
    groups = DeltaTable(lake / "order_groups").to_pyarrow_table().to_pylist()
    found = {row["delivered_on"].day: row["group_number"] for row in groups}
    assert found[2] == found[3] != found[4]
    done = python(checkout, "lakehouse_assets", "pages", "--to", "site")
    assert done.returncode == 0, done.stdout + done.stderr
    site = checkout / "site"
    assert (site / "orders.html").is_file()
    assert "Orders by day" in "".join(
        file.read_text("utf-8") for file in site.rglob("orders*") if file.is_file()
    )


def add_page_of_the_documentation(checkout: Path) -> None:
    """Write the page of the how-to into the new domain, with the measure that it shows."""
    page, measure = (
        block.text for block in blocks()
        if block.page == "docs/how-to/pages.md" and block.kind == "python"
    )  # fmt: skip
    where, code = page.split("\n", 1)
    (checkout / where.removeprefix("# new file ")).write_text(code, "utf-8")
    where, code = measure.split("\n", 1)
    match = re.fullmatch(r"# after `(.*)` in (\S+)", where)
    assert match, where
    table = checkout / match[2]
    text = table.read_text("utf-8")
    assert text.count(f"{match[1]}\n") == 1
    text = text.replace(f"{match[1]}\n", f"{match[1]}\n{code}")
    text = text.replace("import Column, monthly_table", "import Column, Measure, monthly_table")
    table.write_text(text, "utf-8")


def same(path: Path, checkout: Path) -> bool:
    """Say whether a file of the copy is new, or is as in the project."""
    original = REPOSITORY / path.relative_to(checkout)
    return not original.exists() or original.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("page", "shop/x"), "'page' is not one of"),
        (("dataset", "orders"), "Write <domain>/<name>"),
        (("dataset", "nowhere/orders"), "no domain nowhere"),
        (("dataset", "retail/Two Words"), "a to z"),
        (("dataset", "retail/tweets"), "already exists"),
        (("dataset", "retail/import"), "import is a keyword of Python; choose another name."),
        (("table", "retail/x", "--reads", "nothing"), "no dataset"),
        (("table", "retail/x"), "Name a dataset of retail with --reads."),
        (("table", "retail/gold", "--reads", "tweets"), "GOLD already exists"),
        (("model", "retail/x"), "Name a gold table of retail with --reads."),
        (("domain", "retail"), "already exists"),
        (("domain", "class"), "class is a keyword of Python; choose another name."),
        (("domain", "views"), "cannot be called views in SQL; choose another name."),
        (("domain", "registry"), "REGISTRY already exists"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(
    arguments: tuple[str, ...], remedy: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from lakehouse_assets.cli import main

    monkeypatch.setattr(sys, "argv", ["lakehouse", "new", *arguments])
    with pytest.raises(SystemExit):
        main.main()
    assert remedy in " ".join(capsys.readouterr().err.split())
