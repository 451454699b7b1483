"""Settings of a client's session, for SET and SHOW."""

from __future__ import annotations

import re
from typing import Final

from lakehouse_assets.endpoint.sqlstate import SqlError
from lakehouse_assets.endpoint.system_tables import SERVER_VERSION

# By lower-case name; those with another spelling are in `_SPELLINGS`.
DEFAULTS: Final = {
    "application_name": "", "bytea_output": "hex", "client_encoding": "UTF8",
    "client_min_messages": "notice", "datestyle": "ISO, MDY",
    "default_transaction_isolation": "read committed", "default_transaction_read_only": "on",
    "extra_float_digits": "1", "idle_in_transaction_session_timeout": "0", "in_hot_standby": "off",
    "integer_datetimes": "on", "intervalstyle": "postgres", "is_superuser": "off",
    "lc_collate": "C.UTF-8", "lc_ctype": "C.UTF-8", "lc_messages": "C.UTF-8", "lock_timeout": "0",
    "max_identifier_length": "63", "max_index_keys": "32", "row_security": "on", "search_path": "",
    "server_encoding": "UTF8", "server_version": SERVER_VERSION, "server_version_num": "150000",
    "session_authorization": "", "ssl": "off", "standard_conforming_strings": "on",
    "statement_timeout": "0", "timezone": "UTC", "transaction_isolation": "read committed",
    "transaction_read_only": "on",
}  # fmt: skip
# Sent to clients after the login, and on changes.
REPORTED: Final = (
    "application_name", "client_encoding", "datestyle", "default_transaction_read_only",
    "in_hot_standby", "integer_datetimes", "intervalstyle", "is_superuser", "server_encoding",
    "server_version", "session_authorization", "standard_conforming_strings", "timezone",
)  # fmt: skip
_SPELLINGS: Final = {
    "datestyle": "DateStyle", "timezone": "TimeZone", "intervalstyle": "IntervalStyle",
}  # fmt: skip
# SET has no effect on these: values are always sent in the same format.
_FIXED: Final = {
    "client_encoding", "datestyle", "intervalstyle", "timezone", "bytea_output",
    "standard_conforming_strings", "transaction_read_only", "default_transaction_read_only",
    "transaction_isolation", "default_transaction_isolation", "search_path",
}  # fmt: skip
_READ_ONLY: Final = {
    "in_hot_standby", "integer_datetimes", "is_superuser", "lc_collate", "lc_ctype",
    "max_identifier_length", "max_index_keys", "server_encoding", "server_version",
    "server_version_num", "session_authorization", "ssl",
}  # fmt: skip
_UNITS: Final = {"": 0.001, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


class SessionSettings:
    """The settings of one session.

    Args:
        given: Settings with other initial values than the defaults.
    """

    def __init__(self, **given: str) -> None:
        self._first = {**DEFAULTS, **given}
        self._values = dict(self._first)

    def __getitem__(self, name: str) -> str:
        """Return a setting.

        Raises:
            SqlError: there is none of that name.
        """
        try:
            return self._values[name.lower()]
        except KeyError:
            raise SqlError("42704", f"There is no setting {name}.") from None

    def get(self, name: str) -> str | None:
        """Return a setting, or None if there is none of that name."""
        return self._values.get(name.lower())

    def all(self) -> dict[str, str]:
        """Return every setting by its name, in the spelling of PostgreSQL."""
        return {spelling(name): value for name, value in sorted(self._values.items())}

    def set(self, name: str, value: str) -> None:
        """Change a setting; settings of the format of values stay as they are.

        Raises:
            SqlError: the value cannot be used, or only the server can change the setting.
        """
        name = name.lower()
        if name in _READ_ONLY:
            raise SqlError("55P02", f"The setting {name} cannot be changed.")
        if name == "role" and value.lower() not in {"none", "default"}:
            raise SqlError("42501", "The role is that of the user; log in as another user.")
        if name == "client_encoding" and value.upper().replace("-", "") not in {"UTF8", "UNICODE"}:
            raise SqlError("22023", "Only UTF-8 is supported; SET client_encoding TO UTF8.")
        if name.endswith("read_only") and value.lower() in {"off", "false", "0"}:
            raise SqlError("25006", "This endpoint is read-only.")
        if name == "statement_timeout":
            _seconds(value)
        if name not in _FIXED:
            self._values[name] = self._first.get(name, "") if value.lower() == "default" else value

    def reset(self, name: str = "") -> None:
        """Reset a setting, or all of them, to the first value."""
        if name:
            self.set(name, "default")
        else:
            self._values = dict(self._first)

    @property
    def statement_seconds(self) -> float:
        """The session's limit on a statement; 0 for the server's limit."""
        return _seconds(self["statement_timeout"])


def spelling(name: str) -> str:
    """Return a setting's name as PostgreSQL writes it."""
    return _SPELLINGS.get(name, name)


def _seconds(value: str) -> float:
    found = re.fullmatch(r"(\d+)\s*(ms|s|min|h|)", value.strip().lower())
    if value.lower() == "default":
        return 0
    if found is None:
        raise SqlError("22023", "statement_timeout takes milliseconds or a text such as 30s.")
    return int(found[1]) * _UNITS[found[2]]
