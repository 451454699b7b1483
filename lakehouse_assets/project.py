"""Finds the project's folder, which holds `.env` and `.lakehouse`, from any working folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lakehouse_assets.errors import LakehouseError

_OURS = 'name = "lakehouse_assets"'


def project_folder() -> Path:
    """Return the folder against which `.env` and every relative path in a setting are resolved.

    `LAKEHOUSE_HOME` names it. Otherwise it is the nearest of the working folder and its parents
    that holds a `.lakehouse` folder, a `.env` with a setting of the lakehouse, or this project's
    `pyproject.toml`; if there is none, the working folder itself. A world-writable parent, such as
    /tmp, is never the project.

    Raises:
        LakehouseError: `LAKEHOUSE_HOME` is not a folder.
    """
    named = os.environ.get("LAKEHOUSE_HOME")
    if named:
        home = Path(named).expanduser().absolute()
        if not home.is_dir():
            raise LakehouseError(
                f"LAKEHOUSE_HOME is {home}, which is not a folder; name the project's folder, or "
                "unset it and run the command inside the project."
            )
        return home
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if _is_project(folder, here)), here)


def variables() -> dict[str, str]:
    """Return the environment's variables, and those that only the project's `.env` sets."""
    from dotenv import dotenv_values

    written = dotenv_values(project_folder() / ".env")
    return {**{name: value for name, value in written.items() if value is not None}, **os.environ}


def _is_project(folder: Path, here: Path) -> bool:
    try:
        if folder != here and folder.stat().st_mode & stat.S_IWOTH:
            return False
        return (
            (folder / ".lakehouse").is_dir()
            or _holds(folder / ".env", "LAKEHOUSE_")
            or _holds(folder / "pyproject.toml", _OURS)
        )
    except OSError:
        return False


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and text in path.read_text(encoding="utf-8", errors="replace")
