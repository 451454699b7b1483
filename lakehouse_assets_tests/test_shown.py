"""What strangers wrote is shown as text, wherever it is shown: no terminal or page obeys it."""

from __future__ import annotations

import csv
import gzip
import io
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from rich.text import Text

from lakehouse_assets.cli.formats import lines_of, without_formulas
from lakehouse_assets.cli.terminal import Terminal
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.io_manager import preview
from lakehouse_assets.text import UNSEEN, markdown, visible
from lakehouse_assets_tests.airline.samples import House, Lakehouse, purchase
from lakehouse_assets_tests.lake.samples import WHOLE

# Clears the screen, sets the window's title, turns the direction of text, and is markup of Rich.
HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e[bold red]:smile:[/]\x9b"
SHOWN = r"\x1b[2J\x1b]0;x\x07\u202e[bold red]:smile:[/]\x9b"


def obeys(text: str) -> set[str]:
    """Return the characters of an output that a terminal would obey."""
    return set(UNSEEN.findall(text)) - {"\n"}


def test_text_is_written_with_escapes_that_do_not_change_again() -> None:
    assert visible(HOSTILE) == visible(SHOWN) == SHOWN
    assert visible("a\tb\r\n\udc80 é 漢 👩‍👩‍👧") == r"a\tb\r\n\udc80 é 漢 👩‍👩‍👧"
    assert visible("a\nb\r", keep="\n") == "a\nb\\r"
    assert str(LakehouseError(f"{HOSTILE} cannot be read.\nSo.")) == f"{SHOWN} cannot be read.\nSo."


def test_a_terminal_shows_strings_and_styles_text() -> None:
    out = io.StringIO()
    shown = Terminal(file=out, width=200, force_terminal=True, color_system="standard")
    shown.print(HOSTILE, Text("red", "red"), highlight=False)
    assert out.getvalue() == f"{SHOWN} \x1b[31mred\x1b[0m\n"


def test_a_preview_holds_no_markup_of_its_rows() -> None:
    image = "![x](http://evil.example/a.png) <img src=x> **b** `c` | d &lt; _e_ f_g \\"
    assert markdown(image) == (
        r"!\[x\](http://evil.example/a.png) \<img src=x\> \*\*b\*\* \`c\` \| d \&lt; \_e\_ f_g \\"
    )
    lines = preview(WHOLE, [{"tags": text} for text in (image, HOSTILE, "y" * 61)]).splitlines()
    assert r"!\[x\](http" in lines[2]
    assert not obeys(lines[3])
    assert f"| {'y' * 59}… |" in lines[4]


def test_what_was_delivered_is_escaped_in_every_output(
    house: House, lakehouse: Lakehouse, tmp_path: Path
) -> None:
    zone = house.settings.landing / "airline" / "transactions"
    day = zone / "2014-03-03"
    house.deliver_purchases(
        "2014-03-03", [purchase("A", **{HOSTILE: "1"}), purchase(HOSTILE, status=HOSTILE)]
    )
    (day / f"{HOSTILE.replace('/', '')}.json").write_text(f'{{"{HOSTILE}": ', encoding="utf-8")
    (day / "broken.json.gz").write_bytes(gzip.compress(HOSTILE.encode())[:-4])
    (zone / HOSTILE.replace("/", "")).mkdir()
    told = {
        arguments[0]: lakehouse(*arguments)
        for arguments in (
            ("land", "airline/transactions", str(tmp_path / HOSTILE), "--date", "2014-03-03"),
            ("run",),
            ("status",),
            ("doctor",),
            ("sql", "select * from bronze_transactions, bronze_transactions_rejects"),
        )
    }  # fmt: skip
    for name, (_, out, err) in told.items():
        assert not obeys(out + err), name
        assert "Traceback" not in err, name
    assert r"\x1b[2J" in told["land"][2]
    assert r"\x1b[2J" in told["run"][1] + told["run"][2]
    assert SHOWN in told["sql"][1]
    with dagster_instance(house.settings) as instance:
        events = [e for run in instance.get_run_records() for e in instance.all_logs(
            run.dagster_run.run_id
        )]  # fmt: skip
        messages = [e.user_message + e.message for e in events]
        checks = [
            e.dagster_event.asset_check_evaluation_data.description
            for e in events
            if e.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
            and e.dagster_event is not None
        ]
    assert len(messages) > 100
    assert any("\\x1b" in text for text in [*messages, *map(str, checks)])
    assert not [text for text in [*messages, *map(str, checks)] if obeys(text)]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1", "'+49 30 1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1", "'\uff1d1"),
        ('=HYPERLINK("http://x","a")', "'=HYPERLINK(\"http://x\",\"a\")"),
        ("-5", "-5"),
        ("+4.25", "+4.25"),
        ("a=b", "a=b"),
        ("", ""),
        (-5, "-5"),
        (-1.5, "-1.5"),
        (None, ""),
    ],
)  # fmt: skip
def test_formulas_are_neutralised_and_numbers_stay(value: object, written: str) -> None:
    (_, line) = lines_of("csv", ["a", "b"], [without_formulas((value, 1))], None)
    assert next(csv.reader([line], strict=True))[:2] == [written, "1"] or "\r" in line


def test_formulas_are_neutralised_where_csv_is_asked_for(
    house: House, lakehouse: Lakehouse
) -> None:
    house.settings.root.mkdir()
    sql = partial(lakehouse, "sql", "select '=1+1' as \"@a\", '-x' as b, -1 as c")
    assert sql("--format", "csv") == (0, "@a,b,c\n=1+1,-x,-1\n", "")
    assert sql("--format", "csv", "--safe-formulas") == (0, "'@a,b,c\n'=1+1,'-x,-1\n", "")
    code, _, said = sql("--safe-formulas")
    assert (code, said) == (1, "Error: --safe-formulas is for spreadsheets; add --format csv.\n")
