"""Databases for the tests: servers on loopback from Debian's packages, and a peer of Snowflake."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALLED = Path(__file__).parents[2] / ".lakehouse" / "databases"
_PATIENCE = 60.0


class MissingError(Exception):
    """A server that cannot be had here; the message says which and how to get it."""


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start PostgreSQL; yield its address."""
    with _folder() as folder:
        initdb = _program("initdb", "usr/lib/postgresql/*/bin", "PostgreSQL", folder)
        data, port = folder / "data", free_port()
        arguments = ["-D", data, "-U", "lake", "--auth=trust", "-E", "UTF8", "--no-locale", "-N"]
        _done([initdb, *arguments])
        options = [
            "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", "fsync=off",
        ]  # fmt: skip
        url = f"postgresql://lake@127.0.0.1:{port}/postgres"
        with _running([initdb.parent / "postgres", "-D", data, *options], port, folder):
            _wait_for_postgres(url)
            yield url


@contextmanager
def running_mariadb() -> Iterator[str]:
    """Start MariaDB; yield its address."""
    with _folder() as folder:
        server = _program("mariadbd", "usr/sbin", "MariaDB", folder)
        base = server.parents[1]
        share = next(f for f in (base / "share" / "mysql", Path("/usr/share/mysql")) if f.is_dir())
        data, port = folder / "data", free_port()
        # A server that starts removes the temporary tables of others in the same folder.
        temporary = folder / "tmp"
        (data / "mysql").mkdir(parents=True)
        temporary.mkdir()
        _give(data)
        _give(temporary)
        plain = [
            server, "--no-defaults", f"--basedir={base}", f"--datadir={data}",
            f"--tmpdir={temporary}",
            f"--lc-messages-dir={share}", "--innodb-log-file-size=8M", "--innodb-doublewrite=0",
            "--innodb-flush-log-at-trx-commit=0",
        ]  # fmt: skip
        names = ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")
        script = "use mysql;\n" + "".join((share / f"{name}.sql").read_text() for name in names)
        _done([*plain, "--bootstrap"], script)
        where = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's.sock'}"]
        with _running([*plain, *where], port, folder):
            yield f"mysql://root@127.0.0.1:{port}/shop"


@contextmanager
def running_snowflake() -> Iterator[str]:
    """Start fakesnow, which speaks Snowflake's protocol; yield its address."""
    import fakesnow

    port = free_port()
    with fakesnow.server(port=port) as found:
        login = f"{found['user']}:{found['password']}"
        yield f"snowflake://{login}@127.0.0.1:{port}/shop/public?account={found['account']}"


def _wait_for_postgres(url: str) -> None:
    """Wait until it lets somebody in: it listens a little before."""
    import psycopg

    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def _program(name: str, where: str, title: str, folder: Path) -> Path:
    """Find a server's program; where `nobody` may not go to what was unpacked, link it to `folder`.

    A clone in root's home or in a folder of `mktemp -d` is such a place.
    """
    roots = (INSTALLED / "root", Path("/"))
    found = [p for root in roots for p in sorted(root.glob(f"{where}/{name}"))]
    on_path = shutil.which(name)
    if not found and on_path is None:
        raise MissingError(f"{title} is not installed; run `make databases` (Debian, Ubuntu)")
    program = found[-1] if found else Path(str(on_path))
    lent = bool(_other_user()) and program.is_relative_to(INSTALLED)
    if lent and not _may_be_entered_by_all(INSTALLED):
        copied = shutil.copytree(
            INSTALLED, folder / INSTALLED.name, symlinks=True, copy_function=_linked
        )
        return copied / program.relative_to(INSTALLED)
    return program


def _may_be_entered_by_all(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system.
        shutil.copy2(source, target)


def _other_user() -> dict[str, object]:
    """Servers refuse to run as root, so root lends them to nobody."""
    if os.getuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that the servers' user may enter, which pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-database-"))
    try:
        _give(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(folder: Path) -> None:
    owner = _other_user()
    if owner:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, int(str(owner["user"])), int(str(owner["group"])))


def _environment(program: object) -> dict[str, str]:
    """Let a program that was unpacked somewhere find the libraries that were unpacked with it."""
    roots = [path.parent for path in Path(str(program)).parents if path.name == "usr"]
    libraries = [root / part for root in roots for part in ("usr/lib", "lib")]
    found = [str(p) for library in libraries for p in library.glob("*-linux-gnu")]
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": ":".join(found), "LC_ALL": "C"}


def _done(command: list[object], script: str = "") -> None:
    ended = subprocess.run(
        [str(part) for part in command], input=script, capture_output=True, text=True,
        env=_environment(command[0]), cwd="/", timeout=_PATIENCE, check=False, **_other_user(),
    )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"{command[0]} fails: {ended.stderr[-300:]}")


@contextmanager
def _running(command: list[object], port: int, folder: Path) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, cwd="/",
            env=_environment(command[0]), **_other_user(),
        )  # fmt: skip
    try:
        ends = time.monotonic() + _PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{command[0]} does not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
