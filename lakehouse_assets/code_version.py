"""The version of the code that computes rows, recorded in commits and compared by later builds."""

from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent
# Another version of one of these may compute other values.
_LIBRARIES: Final = ("duckdb", "sqlframe", "pyspark", "pyarrow", "deltalake")


@cache
def code_version() -> str:
    """Return the package's version and a hash of its code, its reference data and its engines."""
    found = sha256("".join(f"{name} {version(name)}\n" for name in _LIBRARIES).encode())
    for path in sorted(_PACKAGE.rglob("*")):
        if path.suffix in {".py", ".csv"}:
            found.update(f"{path.relative_to(_PACKAGE)}\n".encode() + path.read_bytes())
    return f"{_installed()}+{found.hexdigest()[:16]}"


def _installed() -> str:
    try:
        return version("lakehouse_assets")
    except PackageNotFoundError:  # Run from a checkout that is not installed.
        return "0"
