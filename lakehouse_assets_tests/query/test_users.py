"""Users of SQL: their lines, and the proofs of their passwords."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse_assets.cli.serve import serve
from lakehouse_assets.domains import ROLES
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.query.users import Users, Verifier, new_user

PASSWORD = "correct horse battery"  # noqa: S105
LINE = new_user("ana", "analyst", PASSWORD, ROLES).line


def test_a_verifier_is_that_of_rfc_7677() -> None:
    """The example of the RFC: user `user`, password `pencil`."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    found = Verifier.of("pencil", salt, 4096)
    assert str(found) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert Verifier.parse(str(found)) == found
    assert found.accepts("pencil")
    assert not found.accepts("Pencil")


def test_users_come_from_a_file_or_from_the_setting_itself(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(f"# ours\n\n{LINE}\n")
    file.chmod(0o600)
    for given in (str(file), LINE, f"{LINE};{new_user('bo', 'owner', PASSWORD, ROLES).line}"):
        users = Users.read(given, ROLES)
        assert users["ana"].role == "analyst"
        assert users["ana"].verifier.accepts(PASSWORD)
    assert PASSWORD not in LINE
    assert not users.unknown("eve").accepts(PASSWORD)
    assert users.unknown("eve").salt == users.unknown("eve").salt != users.unknown("eva").salt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no users"),
        ("# nobody, yet", "has no users"),
        (f"{LINE}\nana,analyst,{PASSWORD}", "Line 2 of .* is not"),
        (f"{LINE};{LINE}", "repeats the user ana"),
        (LINE.replace("analyst", "analist"), "not declared; did you mean analyst?"),
        (LINE.replace(":", "::"), "is not"),
        ("no/such/file", "cannot be read"),
    ],
)
def test_wrong_users_are_refused_without_showing_the_line(text: str, message: str) -> None:
    with pytest.raises(LakehouseError, match=message) as raised:
        Users.read(text.replace("\n", ";"), ROLES)
    assert PASSWORD not in str(raised.value)
    assert "SCRAM-SHA-256$" not in str(raised.value)


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(LINE)
    file.chmod(0o622)
    with pytest.raises(LakehouseError, match="may write to"):
        Users.read(str(file), ROLES)


def test_the_command_makes_a_line_and_shows_no_password(tmp_path: Path) -> None:
    file = tmp_path / "users"
    arguments = ["user", "ana", "--role", "analyst", "--to", str(file)]
    done = CliRunner().invoke(serve, arguments, input=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert Users.read(str(file), ROLES)["ana"].verifier.accepts(PASSWORD)
    assert file.stat().st_mode & 0o777 == 0o600
    again = CliRunner().invoke(serve, arguments, input=f"{PASSWORD}\n{PASSWORD}\n")
    assert isinstance(again.exception, LakehouseError)
    other = CliRunner().invoke(serve, arguments[:4], input=f"{PASSWORD}\n{PASSWORD}x\n")
    assert "two different passwords" in str(other.exception)
    assert PASSWORD not in str(other.exception)
    short = CliRunner().invoke(serve, arguments[:4], input="short\nshort\n")
    assert "at least 12" in str(short.exception)


def test_the_command_reads_a_password_from_a_pipe_although_there_is_a_terminal() -> None:
    made = "from lakehouse_assets.__main__ import main; main()"
    shell = f"printf '{PASSWORD}\\n' | {sys.executable} -c '{made}' serve user ana --role analyst"
    spawn = f"import pty, sys; sys.exit(pty.spawn(['sh', '-c', {shell!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", spawn], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    (line,) = done.stdout.split()
    assert line.startswith("ana,analyst,SCRAM-SHA-256$")
    assert PASSWORD not in done.stdout
