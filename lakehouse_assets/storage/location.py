"""The location of a lake or landing zone: a folder, ADLS Gen2 container, or Fabric lakehouse.

A local location is a plain `Path`. Cloud locations support `/` and `str()` like a path, so that
most code works with either.
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
PUBLIC: Final = "core.windows.net"
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
# A folder could have such a name, but a scheme that lost a slash is far more likely.
_HALF_A_SCHEME = re.compile(r"(abfss?|https?|wasbs?|az|adl|s3a?|gs|file):/?(?!/)", re.IGNORECASE)
# Characters that some programs take for an escape, the end of an address, or part of a pattern.
_ODD = frozenset("%\\?#*[]^|")
# Characters that are not percent-encoded in a path.
_SAFE = "!$&'()*+,;=:@-._~"


class LocationError(LakehouseError, ValueError):
    """A location that cannot be used; the message shows the right form, but no query string."""


@dataclass(frozen=True)
class CloudLocation:
    """A folder in a container of ADLS Gen2, or in a lakehouse of Microsoft Fabric (OneLake).

    Attributes:
        container: Container, which the ABFS driver calls file system; in OneLake the workspace, by
            name or by GUID.
        host: Host of the blob endpoint, which has the same files as the DFS endpoint.
        path: Folder inside, without leading or trailing slashes. In OneLake it begins with the
            lakehouse: `<name>.Lakehouse`, or its GUID if the workspace is a GUID.
    """

    container: str
    host: str
    path: str = ""

    @classmethod
    def adls(
        cls, account: str, container: str, path: str = "", suffix: str = PUBLIC
    ) -> CloudLocation:
        """Return a folder in a container of a storage account; the suffix identifies the cloud."""
        return cls(container, f"{account}.blob.{suffix}", path)

    @classmethod
    def onelake(
        cls, workspace: str, lakehouse: str, path: str = "", region: str = ""
    ) -> CloudLocation:
        """Return a folder in a lakehouse; the region is empty or a prefix like `westeurope-`."""
        host = f"{region}onelake.blob.fabric.microsoft.com"
        return cls(workspace, host, _joined(lakehouse, path))

    def __post_init__(self) -> None:
        if self.is_onelake:
            _check_onelake(self.container, self.lakehouse, self.area)
        elif found := _ADLS_HOST.fullmatch(self.host):
            _check_adls(found["account"], self.container)
        else:
            raise LocationError(
                f"{self._dfs_host or 'nothing'} is neither a storage account nor OneLake; write "
                f"{ADLS_FORM} or {ONELAKE_FORM}"
            )
        _check_path(self.path)

    @property
    def _dfs_host(self) -> str:
        return self.host.replace(".blob.", ".dfs.", 1)

    @property
    def is_onelake(self) -> bool:
        """Whether it is in Fabric."""
        return _ONELAKE_HOST.fullmatch(self.host) is not None

    @property
    def account(self) -> str:
        """The storage account; in Fabric `onelake`, with its region if it has one."""
        return self.host.partition(".")[0]

    @property
    def suffix(self) -> str:
        """Domain suffix of the cloud's storage accounts, which identifies the cloud."""
        return self.host.partition(".blob.")[2]

    @property
    def lakehouse(self) -> str:
        """The lakehouse, for a location in OneLake."""
        return self.path.partition("/")[0]

    @property
    def area(self) -> str:
        """The top folder in the lakehouse, for OneLake: `Tables`, `Files`, or empty."""
        return f"{self.path}//".split("/")[1]

    def in_area(self, area: str) -> CloudLocation:
        """Return the same folder of a lakehouse in the other area: `Files/x` as `Tables/x`."""
        rest = self.path.split("/")[2:]
        return replace(self, path="/".join([self.lakehouse, area, *rest]))

    def __truediv__(self, part: str) -> CloudLocation:
        return replace(self, path=_joined(self.path, part))

    def __str__(self) -> str:
        end = "/" + quote(self.path, safe="/" + _SAFE) if self.path else ""
        return f"abfss://{quote(self.container, safe='$')}@{self._dfs_host}{end}"


Location: TypeAlias = Path | CloudLocation


def _check_adls(account: str, container: str) -> None:
    if not _ACCOUNT.fullmatch(account):
        raise LocationError(
            f"{account!r} is not the name of a storage account (3 to 24 lower-case letters and "
            f"digits); write {ADLS_FORM}"
        )
    if not _CONTAINER.fullmatch(container):
        raise LocationError(
            f"{container!r} is not the name of a container (3 to 63 lower-case letters, digits and "
            f"single hyphens); write {ADLS_FORM}"
        )


def _check_onelake(workspace: str, lakehouse: str, area: str) -> None:
    if not _WORKSPACE.fullmatch(workspace):
        raise LocationError(
            f"the workspace {workspace!r} has characters that not every client accepts; name the "
            "workspace and the lakehouse by their GUIDs, which Fabric's address bar shows"
        )
    by_guid = [bool(_GUID.fullmatch(name)) for name in (workspace, lakehouse)]
    if any(by_guid) and not all(by_guid):
        raise LocationError(
            "one of workspace and lakehouse is a name and the other a GUID, which OneLake refuses; "
            f"use both names or both GUIDs: write {ONELAKE_FORM}"
        )
    if not all(by_guid) and not _LAKEHOUSE.fullmatch(lakehouse):
        raise LocationError(
            f"{lakehouse!r} is not a lakehouse; write {ONELAKE_FORM}, or the GUIDs of workspace "
            "and lakehouse"
        )
    if area and area not in {TABLES, FILES}:
        raise LocationError(
            f"a lakehouse has the folders {TABLES}/ and {FILES}/ and no {area!r}; write "
            f"{ONELAKE_FORM}"
        )


def parse_location(text: str) -> Location:
    """Parse a location, as typed or as copied from the Azure portal or Fabric.

    Args:
        text: A folder; `file:///...`; an `abfss://` address of ADLS or OneLake; or its `https://`
            address, which the portal and Fabric show.

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
    # The query may be a shared access signature, so the message does not repeat it.
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
        raise LocationError(
            f"{parts.scheme}:// is not supported; write a folder, {ADLS_FORM} or {ONELAKE_FORM}"
        )
    path = path.strip("/")
    return CloudLocation(container, host.replace(".dfs.", ".blob.", 1), path)


def lake_root(text: str) -> Location:
    """Parse the location of a lake, whose tables are at `<domain>/<table>` below it.

    In a Fabric lakehouse the location is `Tables`, where a domain is a schema. The addresses of the
    lakehouse itself and of its `Files`, which Fabric's menu also offers to copy, mean the same.

    Raises:
        LocationError: as for `parse_location`, or Fabric would not find tables there.
    """
    found = parse_location(text)
    if isinstance(found, Path):
        return plainly_named(found)
    if not found.is_onelake:
        return found
    tables = replace(found, path=f"{found.lakehouse}/{TABLES}")
    if found not in {tables, tables.in_area(FILES), replace(found, path=found.lakehouse)}:
        raise LocationError(
            "Fabric finds tables only at Tables/<schema>/<table>, and the domain is the schema; "
            f"write {tables}"
        )
    return tables


def local_folder(text: str) -> Path:
    """Parse a local folder; a relative one is in the project's folder.

    Raises:
        LocationError: it names a user without a home folder, or has unprintable characters.
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
    """Return the path if no client could take it for an address or a pattern.

    Raises:
        LocationError: it has a character that Delta, SQLite or Dagster would misread.
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
    """Parse the location of a landing zone; in a Fabric lakehouse it must be in `Files`.

    Raises:
        LocationError: as for `parse_location`, or it is not in a lakehouse's `Files`.
    """
    found = parse_location(text)
    if isinstance(found, CloudLocation) and found.is_onelake and found.area != FILES:
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


def _file(parts: SplitResult) -> Path:
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise LocationError("a file:// address needs three slashes; write file:///<folder>")
    return Path(unquote(parts.path)).absolute()
