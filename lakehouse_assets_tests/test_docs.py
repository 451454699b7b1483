"""Every command and snippet of README and docs runs, or is checked as far as it goes without.

A fenced block says by its language what happens to it here: `sh run` is run in a copy of the
project, the page that builds the lake first; of `sh`, which takes long or needs a cloud or a
cluster, each command must exist with its options; `python` is applied to the place that its first
line names; `ini` sets variables that the settings know; `text` is no code. Blocks in braces are
MyST's.
"""

from __future__ import annotations

import html
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType

import click
import pytest
import typer

from lakehouse_assets import definitions
from lakehouse_assets.cli import main as cli
from lakehouse_assets.domains import DOMAINS, REGISTRY, ROLES
from lakehouse_assets.domains.retail import sources
from lakehouse_assets.settings import Settings
from lakehouse_assets_tests.airline.samples import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = (
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
)
# The notebooks' test runs their blocks.
TUTORIALS = DOCS / "tutorials"
# Builds the lake that the commands of the other pages look at.
FIRST = "docs/how-to/your-data.md"
ADD_TABLES = "docs/how-to/add-tables.md"
NEW_TABLE = "lakehouse_assets/domains/airline/gold/value.py"
_BLOCK = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_INLINE = re.compile(r"`((?:\.venv/bin/)?(?:lakehouse|make|python -m|pytest) [^`]+)`")
# Commands that show something and leave everything as it is, by the arguments that they need.
_LOOKING = {"sql": 1, "tables": 0, "status": 0, "doctor": 0, "selection": 1}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Path of its page within the project, such as `docs/how-to/pages.md`.
        kind: What stands behind the fence.
        text: What is in it.
    """

    page: str
    kind: str
    text: str

    @property
    def commands(self) -> str:
        """Its shell commands: all of it, or what stands behind prompts where there are any."""
        if not self.text.startswith("$ "):
            return self.text
        found: list[str] = []
        open_quote = False
        for line in self.text.splitlines():
            if line.startswith("$ ") or open_quote:
                found.append(line.removeprefix("$ "))
                open_quote ^= line.count('"') % 2 == 1
        return "\n".join(found) + "\n"


def blocks() -> list[Block]:
    return [
        Block(page.relative_to(REPOSITORY).as_posix(), *match)
        for page in PAGES
        if TUTORIALS not in page.parents
        for match in _BLOCK.findall(page.read_text("utf-8"))
        if not match[0].startswith("{")
    ]


def inline(pages: Iterable[Path] = PAGES) -> list[str]:
    """Return the commands within sentences and tables."""
    found = []
    for page in pages:
        text = _BLOCK.sub("", page.read_text("utf-8"))
        found += [match.replace("\\|", "|") for match in _INLINE.findall(text)]
    return sorted(set(found))


def looks_only(command: str) -> bool:
    """Say whether a command may be run as it stands, whatever comes before it."""
    _, name, *arguments = shlex.split(command)
    placeholder = re.search(r"[…<]|&&| [A-Z]+$", command)
    return placeholder is None and len(arguments) >= _LOOKING.get(name, 99)


def test_every_block_says_what_it_is() -> None:
    assert {block.kind for block in blocks()} == {"sh", "sh run", "python", "ini", "text"}


# --- what is run ------------------------------------------------------------------------------


def edited(folder: Path) -> list[Path]:
    """Apply the `python` blocks of a new table to a copy of the package; return the files."""
    found = []
    for block in blocks():
        if block.kind != "python" or block.page != ADD_TABLES:
            continue
        where, code = block.text.split("\n", 1)
        match = re.fullmatch(r"# (before|after) `(.*)` in (\S+)", where)
        assert match, where
        file = folder / match[3]
        before, line, after = file.read_text("utf-8").partition(f"{match[2]}\n")
        assert line, where
        code = f"{code}\n\n{line}" if match[1] == "before" else f"{line}{code}"
        file.write_text(f"{before}{code}{after}", "utf-8")
        found.append(file)
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the new table of the documentation."""
    folder = tmp_path_factory.mktemp("project")
    # With what is compiled, or its first process would compile it all again.
    shutil.copytree(REPOSITORY / "lakehouse_assets", folder / "lakehouse_assets")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / "data").symlink_to(REPOSITORY / "data")
    assert {str(file.relative_to(folder)) for file in edited(folder)} == {NEW_TABLE}
    return folder


# Writes down the words and the settings of a command.
_RECORDER = """\
#!/bin/sh
exec "{python}" -S -c 'import json, os, sys
settings = {{k: v for k, v in os.environ.items() if k.startswith("LAKEHOUSE_")}}
with open("{record}", "a") as file:
    print(json.dumps([sys.argv[1:], settings]), file=file)' "$@"
"""
# Runs what was written down in one process, which imports everything once.
_PLAYER = """\
import json, os, sys
from lakehouse_assets.cli.main import main
for line in open(sys.argv[1]):
    words, settings = json.loads(line)
    os.environ.update(settings)
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"lakehouse {words} ended with {end.code}")
"""


def bash(project: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as somebody who has just installed the project: bash, then its commands."""
    folder, record = project / "bin", project / "bin" / "record.jsonl"
    folder.mkdir()
    command = folder / "lakehouse"
    command.write_text(_RECORDER.format(python=sys.executable, record=record), "utf-8")
    command.chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    variables = {**clean, "PYTHONPATH": str(project), "PATH": path, "NO_COLOR": "1"}
    for words in (
        ["bash", "-euo", "pipefail", "-x", "-c", script],
        [sys.executable, "-c", _PLAYER, str(record)],
    ):
        done = subprocess.run(
            words, env=variables, cwd=project, capture_output=True, text=True, check=False
        )
        if done.returncode:
            break
    return done


@pytest.mark.timeout(900)
def test_the_commands_run_and_the_new_table_is_there(project: Path) -> None:
    run = [block for block in blocks() if block.kind == "sh run"]
    run.sort(key=lambda block: block.page != FIRST)
    pages = [page for page in PAGES if TUTORIALS not in page.parents]
    found = filter(looks_only, inline(pages))
    looking = {command.removeprefix(".venv/bin/") for command in found}
    assert len(looking) >= 4
    commands = [block.commands for block in run]
    seen = {line.partition("  #")[0].strip() for line in "".join(commands).splitlines()}
    commands += [f"{command}\n" for command in sorted(looking - seen)]
    commands.append("lakehouse sql 'select * from tier_revenue order by 2' --format csv\n")
    script = "".join(commands)
    done = bash(project, script)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "(2014-03-11) was quarantined; 1 still is." in "".join(block.text for block in run)
    assert "(2014-03-11) was quarantined; 1 still is." in done.stdout
    header, *rows = done.stdout.strip().splitlines()[-4:]
    assert header == "as_of_month,loyalty_tier,spent"
    assert [row.split(",")[:2] for row in rows] == [["2014-03-01", tier] for tier in "456"]
    # Nothing has been written beside the project's own places, but what a command names.
    assert {path.name for path in project.iterdir() if path.suffix != ".csv"} == {
        "lakehouse_assets", "pyproject.toml", "data", "bin", ".lakehouse", "landing",
    }  # fmt: skip


def test_the_new_table_is_as_lint_and_types_want_it(project: Path) -> None:
    tool = [sys.executable, "-m"]
    for command in (
        [*tool, "ruff", "check", "--no-cache", NEW_TABLE],
        [*tool, "ruff", "format", "--no-cache", "--check", NEW_TABLE],
        [*tool, "mypy", "--cache-dir", str(REPOSITORY / ".mypy_cache"), NEW_TABLE],
    ):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_source_table_is_one_of_those_that_are_declared() -> None:
    (block,) = [b for b in blocks() if b.kind == "python" and b.page.endswith("/databases.md")]
    where, code = block.text.split("\n", 1)
    assert where == "# in SOURCES of lakehouse_assets/domains/retail/sources.py"
    assert eval(code, vars(sources)) in sources.SOURCES  # noqa: S307


# --- the site ---------------------------------------------------------------------------------


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    assert len(text.split()) <= 900
    assert text.count("](docs/images/") == 3
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it; a broken link within it is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", folder / "doctrees",
         "-b", "html", DOCS, folder / "html"],
        env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "html"


def test_the_site_is_whole_and_needs_no_other_host(site: Path) -> None:
    pages = {page.relative_to(DOCS) for page in PAGES if DOCS in page.parents}
    assert all((site / page.with_suffix(".html")).exists() for page in pages)
    loaded = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["'](?:https?:)?//""")
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text("utf-8")), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text("utf-8")), sheet


def shown(page: Path) -> str:
    """Return the text of a page of the site."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text("utf-8")))


def test_the_reference_lists_everything_that_is_declared(site: Path, generated: ModuleType) -> None:
    reference = site / "reference"
    settings = shown(reference / "settings.html")
    meanings = generated.meanings_of(Settings)
    for name in Settings.model_fields:
        assert f"LAKEHOUSE_{name.upper()}\n" in settings, name
        assert meanings[name].replace("`", "") in " ".join(settings.split()), name
    assert len(re.findall(r"A secret\.", settings)) >= 8
    commands = shown(reference / "commands.html")
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        assert f"lakehouse {name}" in commands
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or parameter.opts[0] in commands
    assert "generated:" not in commands
    tables = "".join(shown(page) for page in (reference / "tables").glob("*.html"))
    for table in REGISTRY:
        assert table.name in tables
    assert all(term.name in shown(reference / "glossary.html") for d in DOMAINS for term in d.terms)
    assert all(name in shown(reference / "roles.html") for name in ROLES)


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    """The script behind the reference."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lists_in_the_repository_are_those_of_the_program(generated: ModuleType) -> None:
    pages = generated.committed()
    assert {page.stem for page in pages} == {
        "settings", "file-formats-and-limits", "measures", "glossary", "roles", "declarations",
    }  # fmt: skip
    outdated = [page.name for page, text in pages.items() if page.read_text("utf-8") != text]
    assert outdated == [], "Run `make reference` and commit what it writes."


def test_every_argument_of_a_declaration_is_described(generated: ModuleType) -> None:
    for found in (f for several in generated.DECLARATIONS.values() for f in several):
        about, meanings = generated._documented(found)
        assert about, found
        if isinstance(found, type):
            assert {field.name for field in fields(found) if field.init} <= {*meanings}, found


# --- what is checked ----------------------------------------------------------------------------


def test_commands_that_are_not_run_exist_with_their_options() -> None:
    checked = 0
    for block in blocks():
        if block.kind != "sh":
            continue
        syntax = subprocess.run(["bash", "-n"], input=block.text, text=True, check=False)
        assert syntax.returncode == 0, block.text
        for line in block.text.replace("\\\n", " ").splitlines():
            checked += check(line)
    for command in inline():
        checked += sum(map(check, command.split("&&")))
    assert checked > 30


def check(line: str) -> bool:
    """Check a command; return whether it is one of the project's own."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    if not words:
        return False
    program, *rest = (word for word in words if word != "&")
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.M))
        wanted = {word for word in rest if "=" not in word}
        assert wanted <= targets, line
        return True
    if program.removeprefix(".venv/bin/") == "lakehouse":
        _check_lakehouse(rest, line)
        return True
    if program == "python" and rest[0] == "-m" and rest[1].startswith("lakehouse"):
        assert importlib.util.find_spec(rest[1]), line
        return True
    if program == "pytest":
        assert (REPOSITORY / rest[0]).exists(), line
        return True
    return False


def _check_lakehouse(arguments: list[str], line: str) -> None:
    command: click.Command | None = typer.main.get_command(cli.app)
    name, rest = "lakehouse", [*arguments]
    while isinstance(command, click.Group) and rest and not rest[0].startswith(("-", "…", "<")):
        name = rest.pop(0)
        command = command.get_command(click.Context(command), name)
    assert command is not None, line
    if rest == ["--help"]:
        return
    if not rest or any(word.startswith(("…", "<")) for word in rest):
        # A sentence names the command, and maybe an option.
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= known, line
        return
    command.make_context(name, list(rest))


def variables() -> Iterator[tuple[str, str]]:
    for block in blocks():
        if block.kind == "ini":
            for line in block.text.splitlines():
                yield line, line.partition("=")[0]


def test_variables_are_settings() -> None:
    known = {f"LAKEHOUSE_{name.upper()}" for name in Settings.model_fields}
    for line, name in variables():
        assert name in known or name.startswith("DATABRICKS_"), line
    # Those of the table of settings, and of sentences.
    for page in PAGES:
        for name in re.findall(r"`(LAKEHOUSE_[A-Z_]+)", page.read_text("utf-8")):
            addresses = ("LAKEHOUSE_SOURCE_", "LAKEHOUSE_STREAM_")
            assert name in known | {"LAKEHOUSE_HOME"} or name.startswith(addresses), name


def test_the_map_of_the_code_names_what_there_is() -> None:
    (drawing,) = [b.text for b in blocks() if b.text.startswith("lakehouse_assets/\n")]
    package = REPOSITORY / "lakehouse_assets"
    files = {path.name for path in package.rglob("*.py")}
    named = set(re.findall(r"\b(\w+\.py)\b", drawing))
    assert named <= files
    folders = set(re.findall(r"^  (\w+)/", drawing, re.MULTILINE))
    assert folders == {f.name for f in package.iterdir() if f.is_dir() and f.name != "__pycache__"}


def test_the_guide_to_automation_names_every_sensor() -> None:
    guide = (DOCS / "how-to" / "automate.md").read_text("utf-8")
    sensors = definitions.defs.get_repository_def().sensor_defs
    assert [sensor.name for sensor in sensors if f"`{sensor.name}`" not in guide] == []
