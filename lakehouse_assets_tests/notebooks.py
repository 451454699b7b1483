"""Makes the notebooks of the tutorials from their pages: `make notebooks`.

A page is Jupytext's Markdown: its `python` and `bash` blocks are the cells, and a `text` block
after a cell is what the cell prints. In `text` blocks `...` stands for what is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import v4

from lakehouse_assets_tests.airline.samples import REPOSITORY

TUTORIALS = REPOSITORY / "docs" / "tutorials"
NAMES = ("engineer", "analyst", "ml-engineer")
_SETUP = """\
# Only in the notebook: work in the project's folder, with the commands of its environment.
import os
import sys
from pathlib import Path

here = Path.cwd()
os.chdir(next(f for f in (here, *here.parents) if (f / "pyproject.toml").exists()))
path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.update(PATH=path, NO_COLOR="1", COLUMNS="100", TERM="dumb")
# Jupyter asks commands for colours, and for figures within the notebook.
for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "MPLBACKEND"):
    os.environ.pop(name, None)"""
# Or Jupytext takes the language of most cells for that of the notebook.
_HEADER = (
    "---\njupyter:\n  kernelspec:\n    display_name: Python 3\n    language: python\n"
    "    name: python3\n---\n"
)
_PRINTED = re.compile(r"\A```text\n(.*?)\n?```\n*", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)")


def notebook_of(page: Path) -> Any:
    """Return the notebook of a page: its cells, with what the page says that they print."""
    read = jupytext.reads(_HEADER + page.read_text("utf-8"), fmt="md")
    cells: list[Any] = []
    for cell in read.cells:
        if cell.cell_type == "code":
            cells.append(v4.new_code_cell(cell.source))
            continue
        text = cell.source
        printed = _PRINTED.match(text)
        if printed and cells and cells[-1].cell_type == "code":
            cells[-1].outputs = [v4.new_output("stream", name="stdout", text=printed[1] + "\n")]
            text = text[printed.end() :]
        if text.strip():
            # The notebook is a folder below its page.
            cells.append(v4.new_markdown_cell(_LINK.sub("](../", text)))
    cells.insert(1, v4.new_code_cell(_SETUP))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def file_of(name: str) -> Path:
    """Return where the notebook of a tutorial is."""
    return TUTORIALS / "notebooks" / f"{name}.ipynb"


def main() -> None:
    """Write the notebooks."""
    for name in NAMES:
        file = file_of(name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(nbformat.writes(notebook_of(TUTORIALS / f"{name}.md")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
