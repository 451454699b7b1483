"""Where a lake or a landing zone is: a folder, a container of ADLS Gen2, or a Fabric lakehouse.

A local location is a plain `Path`; the others take `/` and `str()` as a path does, so that most
code need not ask which it has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, quote, unquote, urlsplit

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.project import project_folder

ADLS_FORM: Final = "abfss://<container>@<account>.dfs.core.windows.net/<path>"
ONELAKE_FORM: Final = (
    "abfss://<workspace>@onelake.dfs.fabric.microsoft.com/<lakehouse>.Lakehouse/Tables"
)
TABLES: Final = "Tables"
FILES: Final = "Files"

_ADLS_HOST = re.compile(
    r"(?P<account>[^.]*)\.(dfs|blob)\."
    r"(?P<suffix>core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net)"
)
_ONELAKE_HOST = re.compile(r"(?P<region>[a-z0-9]+-)?onelake\.(dfs|blob)\.fabric\.microsoft\.com")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$web|\$root")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LAKEHOUSE = re.compile(r"[A-Za-z][A-Za-z0-9_]*\.Lakehouse")
# A drive or a folder may be named so, but nobody means it: a slash of the scheme got lost.
_HALF_A_SCHEME = re.compile(r"(abfss?|https?|wasbs?|az|adl|s3a?|gs|file):/?(?!/)", re.IGNORECASE)
# In a path on this machine: escapes and the ends of addresses, and what makes a path a pattern.
_ODD = frozenset("%\\?#*[]^|")
# What stands in a path as itself; everything else is percent-encoded.
_SAFE = "!$&'()*+,;=:@-._~"


class LocationError(LakehouseError, ValueError):
    """A location that cannot be used; the message shows the right form and never a query."""


@dataclass(frozen=True)
class AdlsLocation:
    """A folder in a container of a storage account with hierarchical namespace.

    Attributes:
        account: Storage account.
        container: Container, which the ABFS driver calls file system.
        path: Folder inside it, without slashes at its ends; empty for the container itself.
        suffix: Domain of the cloud's storage, which also identifies the cloud.
    """

    account: str
    container: str
    path: str = ""
    suffix: str = "core.windows.net"

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise LocationError(
                f"{self.account!r} is not the name of a storage account (3 to 24 "
                f"lower-case letters and digits); write {ADLS_FORM}"
            )
        if not _CONTAINER.fullmatch(self.container):
            raise LocationError(
                f"{self.container!r} is not the name of a container (3 to 63 lower-case "
                f"letters, digits and single hyphens); write {ADLS_FORM}"
            )
        _check_path(self.path)

    @property
    def host(self) -> str:
        """Host of the blob endpoint, which reads and writes what the DFS endpoint shows."""
        return f"{self.account}.blob.{self.suffix}"

    @property
    def folder(self) -> str:
        """Path inside the container."""
        return self.path

    def __truediv__(self, part: str) -> AdlsLocation:
        return replace(self, path=_joined(self.path, part))

    def __str__(self) -> str:
        return _written(self.container, f"{self.account}.dfs.{self.suffix}", self.path)


@dataclass(frozen=True)
class OneLakeLocation:
    """A folder in a lakehouse of Microsoft Fabric.

    Attributes:
        workspace: Name or GUID of the workspace, which takes the place of a container.
        lakehouse: `<name>.Lakehouse`, or the lakehouse's GUID where the workspace is one.
        path: `Files/...` or `Tables/...`, without slashes at its ends; empty for the lakehouse.
        region: Prefix of a regional endpoint such as `westeurope-`; empty for the global one.
    """

    workspace: str
    lakehouse: str
    path: str = ""
    region: str = ""

    def __post_init__(self) -> None:
        if not _WORKSPACE.fullmatch(self.workspace):
            raise LocationError(
                f"the workspace {self.workspace!r} has characters that not every client accepts; "
                "name the workspace and the lakehouse by their GUIDs, which Fabric's address bar "
                "shows"
            )
        by_guid = [bool(_GUID.fullmatch(name)) for name in (self.workspace, self.lakehouse)]
        if by_guid == [False, True] or by_guid == [True, False]:
            raise LocationError(
                "one of workspace and lakehouse is a name and the other a GUID, which OneLake "
                f"refuses; use both names or both GUIDs: write {ONELAKE_FORM}"
            )
        if not all(by_guid) and not _LAKEHOUSE.fullmatch(self.lakehouse):
            raise LocationError(
                f"{self.lakehouse!r} is not a lakehouse; write {ONELAKE_FORM}, or the GUIDs of "
                "workspace and lakehouse"
            )
        _check_path(self.path)
        if self.path and self.area not in {TABLES, FILES}:
            raise LocationError(
                f"a lakehouse has the folders {TABLES}/ and {FILES}/ and no {self.area!r}; write "
                f"{ONELAKE_FORM}"
            )

    @property
    def area(self) -> str:
        """First folder: `Tables`, `Files`, or nothing for the lakehouse itself."""
        return self.path.partition("/")[0]

    @property
    def host(self) -> str:
        """Host of the blob endpoint, which reads and writes what the DFS endpoint shows."""
        return f"{self.region}onelake.blob.fabric.microsoft.com"

    @property
    def account(self) -> str:
        """What stands where other stores have their storage account."""
        return f"{self.region}onelake"

    @property
    def container(self) -> str:
        """What stands where other stores have their container."""
        return self.workspace

    @property
    def folder(self) -> str:
        """Path inside the container, which a workspace takes the place of."""
        return _joined(self.lakehouse, self.path)

    def in_area(self, area: str) -> OneLakeLocation:
        """Return the same folder in the other area: `Files/x` as `Tables/x` and back."""
        rest = self.path.partition("/")[2]
        return replace(self, path=_joined(area, rest) if rest else area)

    def __truediv__(self, part: str) -> OneLakeLocation:
        return replace(self, path=_joined(self.path, part))

    def __str__(self) -> str:
        host = f"{self.region}onelake.dfs.fabric.microsoft.com"
        return _written(self.workspace, host, self.folder)


CloudLocation: TypeAlias = AdlsLocation | OneLakeLocation
Location: TypeAlias = Path | AdlsLocation | OneLakeLocation


def parse_location(text: str) -> Location:
    """Read a location as people write it, or copy it from the portal or from Fabric.

    Args:
        text: A folder; `file:///...`; `abfss://` of ADLS or OneLake; or the `https://` address of
            the same place, which Fabric and the portal show.

    Raises:
        LocationError: it is none of these; the message names the fault and shows the right form.
    """
    text = text.strip()
    if not text:
        raise LocationError(f"it is empty; write a folder, or {ADLS_FORM}")
    if not text.isprintable():
        raise LocationError("it contains characters that cannot be printed; type it again")
    if "://" not in text:
        if _HALF_A_SCHEME.match(text):
            raise LocationError(f"two slashes follow a scheme; write {ADLS_FORM}")
        return local_folder(text)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise LocationError(f"it is not an address; write {ADLS_FORM}") from None
    if parts.scheme == "file":
        return _file(parts)
    # What follows a question mark may be a shared access signature: it is never repeated.
    if parts.query or parts.fragment or parts.password is not None:
        raise LocationError(
            "it contains a query, a fragment or a password, which a location never has; keep a "
            "shared access signature in a variable and name that variable in LAKEHOUSE_IDENTITY"
        )
    if port is not None:
        raise LocationError(f"it contains a port, which no store has; write {ADLS_FORM}")
    host = parts.hostname or ""
    if parts.scheme == "https":
        container, _, path = unquote(parts.path).strip("/").partition("/")
    elif parts.scheme == "abfss":
        container, path = unquote(parts.username or ""), unquote(parts.path)
    else:
        raise LocationError(f"{parts.scheme}:// is not supported; write {_suggestion(parts)}")
    path = path.strip("/")
    if found := _ONELAKE_HOST.fullmatch(host):
        lakehouse, _, path = path.partition("/")
        return OneLakeLocation(container, lakehouse, path, found["region"] or "")
    if found := _ADLS_HOST.fullmatch(host):
        return AdlsLocation(found["account"], container, path, found["suffix"])
    raise LocationError(
        f"{host or 'nothing'} is neither a storage account nor OneLake; write {ADLS_FORM} or "
        f"{ONELAKE_FORM}"
    )


def lake_root(text: str) -> Location:
    """Read the location of a lake, under which tables lie at `<domain>/<table>`.

    In a lakehouse that is `Tables`, where a domain is a schema: the lakehouse itself and its
    `Files`, which Fabric's menu copies as readily, are taken for it.

    Raises:
        LocationError: as for `parse_location`, or Fabric would not find tables there.
    """
    found = parse_location(text)
    if isinstance(found, Path):
        return plainly_named(found)
    if isinstance(found, OneLakeLocation):
        if found.path in {"", FILES, TABLES}:
            return found.in_area(TABLES)
        raise LocationError(
            "Fabric finds tables only at Tables/<schema>/<table>, and the domain is the schema; "
            f"write {replace(found, path=TABLES)}"
        )
    return found


def local_folder(text: str) -> Path:
    """Read a folder of this machine; a relative one lies in the project's folder.

    Raises:
        LocationError: it cannot be read.
    """
    try:
        folder = project_folder() / Path(text).expanduser()
    except RuntimeError:
        raise LocationError(
            "it names a user who has no home folder on this machine; write a folder"
        ) from None
    if not str(folder).isprintable():
        raise LocationError("it contains characters that cannot be printed; use another folder")
    return folder


def plainly_named(path: Path) -> Path:
    """Return a path that every client takes for itself: not for an address, nor for a pattern.

    Raises:
        LocationError: it holds a character that Delta, SQLite or Dagster reads as something else.
    """
    odd = sorted(_ODD.intersection(path.as_posix()))
    if odd:
        raise LocationError(
            f"the path {path} contains {' '.join(odd)}, which some programs read as a "
            "pattern or an "
            f"escape; use a path without any of {' '.join(sorted(_ODD))}"
        )
    return path


def landing_root(text: str) -> Location:
    """Read the location of a landing zone; in a lakehouse it lies in `Files`.

    Raises:
        LocationError: as for `parse_location`, or files would lie among tables.
    """
    found = parse_location(text)
    if isinstance(found, OneLakeLocation) and found.area != FILES:
        raise LocationError(
            f"the landing zone must be in the lakehouse's {FILES}; write {found.in_area(FILES)}"
        )
    return found


def _check_path(path: str) -> None:
    if not path:
        return
    for segment in path.split("/"):
        if not segment:
            raise LocationError("one of its folders has no name (two slashes in a row)")
        if segment.endswith("."):
            raise LocationError(f"the folder {segment!r} ends with a dot, which stores drop")
        if "\\" in segment or not segment.isprintable():
            raise LocationError(
                f"the folder {segment!r} contains a backslash or characters that cannot "
                "be printed; "
                "use plain names and slashes"
            )


def _joined(path: str, part: str) -> str:
    return "/".join(piece for piece in (path, part.strip("/")) if piece)


def _written(container: str, host: str, path: str) -> str:
    end = "/" + quote(path, safe="/" + _SAFE) if path else ""
    return f"abfss://{quote(container, safe='$')}@{host}{end}"


def _file(parts: SplitResult) -> Path:
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise LocationError("a file:// address needs three slashes; write file:///<folder>")
    return Path(unquote(parts.path)).absolute()


def _suggestion(parts: SplitResult) -> str:
    """Return the right form, for this very location where possible."""
    found = _ADLS_HOST.fullmatch(parts.hostname or "")
    if found and parts.username:
        try:
            place = AdlsLocation(
                found["account"], unquote(parts.username), unquote(parts.path).strip("/"),
                found["suffix"],
            )  # fmt: skip
        except LocationError:
            return ADLS_FORM
        return str(place)
    return f"a folder, {ADLS_FORM} or {ONELAKE_FORM}"
