"""The tutorials' notebooks run from top to bottom, and print what their pages say."""

from __future__ import annotations

import doctest
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun
from lakehouse_assets_tests.notebooks import NAMES, TUTORIALS, file_of, notebook_of

CODE = ("lakehouse_assets", "lakehouse_assets_tests")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_made_from_its_page(name: str) -> None:
    stored = file_of(name).read_text("utf-8")
    assert stored == nbformat.writes(notebook_of(TUTORIALS / f"{name}.md")) + "\n", (
        "run `make notebooks`"
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_prints_what_its_page_says(name: str, sample: SampleRun, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for folder in CODE:
        leave_out = shutil.ignore_patterns("node_modules")
        shutil.copytree(REPOSITORY / folder, project / folder, ignore=leave_out)
    for file in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(REPOSITORY / file, project)
    shutil.copytree(REPOSITORY / "data", project / "data")
    home = sample.house.settings.root.parent
    for folder in ("lake", "mlflow", "dagster"):
        shutil.copytree(home / folder, project / ".lakehouse" / folder)
    place = project / "docs" / "tutorials" / "notebooks"
    place.mkdir(parents=True)
    notebook = notebook_of(TUTORIALS / f"{name}.md")
    said = [printed(cell) for cell in notebook.cells]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "DAGSTER_"))}
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(place)}})
    try:
        client.execute(env={**clean, "PYTHONPATH": str(project), "TZ": "UTC"}, cleanup_kc=True)
    finally:
        for file in project.glob("*.pid"):
            # A notebook that ends early leaves its server.
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text("utf-8")), signal.SIGTERM)
    differing = [
        f"{cell.source}\n--- prints\n{printed(cell)}\n--- but the page says\n{wanted}"
        for cell, wanted in zip(notebook.cells, said, strict=True)
        if wanted and not as_said(wanted, printed(cell))
    ]
    assert not differing, "\n\n".join(differing)


def printed(cell: Any) -> str:
    """Return what a cell has printed or shown, without trailing blanks; nothing of stderr."""
    text = "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") + "\n"
        for output in cell.get("outputs", ())
        if output.get("name") != "stderr"
    )
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


def as_said(wanted: str, found: str) -> bool:
    """Say whether a cell printed what its page says, where `...` stands for anything."""
    return doctest.OutputChecker().check_output(wanted, found, doctest.ELLIPSIS)
