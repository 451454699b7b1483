"""Keeps the records of people who asked to be forgotten out of bronze.

The lake has a receipt for each request, with a keyed digest of the person's identifier instead of
the identifier itself. By the digest, a later load recognises their records if a file is delivered
again. Such a record becomes a reject without text, so that every delivered record is still counted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING

from lakehouse_assets.catalog.subjects import Subject
from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import SecretStr

    from lakehouse_assets.storage.files import Files

FOLDER = "_forgotten"
REMOVED = "The record was removed because the person it is about asked to be forgotten."
# Identifiers in the text of a malformed record are between these.
_BETWEEN = re.compile(r"""[\s,;|"'{}\[\]():=<>]+""")


@dataclass(frozen=True)
class Kind:
    """A kind of person as a domain knows it.

    Attributes:
        domain: Name of the domain.
        subject: The kind of person.
    """

    domain: str
    subject: Subject

    @property
    def name(self) -> str:
        """Its name with the domain, such as `<domain> member`."""
        return f"{self.domain} {self.subject.name}"


class Digests:
    """Computes the digests of identifiers with a secret key.

    Without the key, nobody can find the person by trying all numbers.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @property
    def check(self) -> str:
        """A digest of nothing, by which another key is noticed."""
        return self._digest("")[:16]

    def of(self, kind: Kind, identifier: str) -> str:
        """Return the digest of an identifier of a kind of person."""
        return self._digest(f"{kind.name}\n{kind.subject.normal(identifier)}")

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Receipt:
    """What was done on a person's request; it has no personal data.

    Attributes:
        subject: Kind of person, with the domain, such as `<domain> member`.
        digest: Keyed digest of their identifier.
        key_check: Digest by which another key is noticed.
        reason: Why, as the operator gave it.
        requested_at: When it was first requested, ISO 8601 in UTC.
        completed_at: When their records were gone from the newest version of every table.
        purged_at: When old versions were removed too; empty while they are kept.
        removed: Number of rows that were removed, by table.
        files: Delivered files with their records; they are not changed.
        models: Model versions that may have been fitted on their records.
    """

    subject: str
    digest: str
    key_check: str
    reason: str
    requested_at: str
    completed_at: str = ""
    purged_at: str = ""
    removed: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where it is in the lake."""
        return f"{FOLDER}/{self.digest[:32]}.json"

    def write(self, files: Files) -> None:
        """Store the receipt in the lake, replacing its former state."""
        files.put(self.path, json.dumps(asdict(self), indent=2, ensure_ascii=False).encode())

    @classmethod
    def read(cls, path: str, content: bytes) -> Receipt:
        """Read a stored receipt.

        Raises:
            LakehouseError: it is damaged. Loads must not go on without it.
        """
        try:
            found = json.loads(content)
            known = {f.name: found[f.name] for f in fields(cls) if f.name in found}
            receipt = cls(**known)
            if not (receipt.subject and len(receipt.digest) == 64):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LakehouseError(
                f"The receipt {path} in the lake is damaged. Restore it from a backup: without it, "
                "a forgotten person's records would be loaded again."
            ) from None
        return receipt


def receipts(files: Files) -> list[Receipt]:
    """Return all receipts of a lake, oldest first.

    Raises:
        LakehouseError: one of them is damaged, or the lake cannot be read.
    """
    found = [
        Receipt.read(path, files.read(path) or b"")
        for entry in files.children(FOLDER)
        if not entry.is_folder and entry.path.endswith(".json")
        for path in [f"{FOLDER}/{entry.path.rpartition('/')[2]}"]
    ]
    return sorted(found, key=lambda receipt: (receipt.requested_at, receipt.digest))


def digests_for(key: str | None, known: Iterable[Receipt]) -> Digests:
    """Return digests with a key, once it is sure that it is the key of the receipts.

    Raises:
        LakehouseError: there is no key, or another one than that of the receipts.
    """
    if not key:
        raise LakehouseError(
            "LAKEHOUSE_FORGET_KEY is not set. This secret is needed to recognise the records of "
            "people who asked to be forgotten. Set the key that was used before or, for the first "
            "request, a new one: python -c 'import secrets; print(secrets.token_hex(32))'. Keep it "
            "outside the lake."
        )
    digests = Digests(key)
    if any(receipt.key_check != digests.check for receipt in known):
        raise LakehouseError(
            "LAKEHOUSE_FORGET_KEY is not the key that was used for earlier requests in this lake, "
            "so forgotten records would be loaded again; set the earlier key."
        )
    return digests


def removal_for(
    files: Files, fields: Mapping[Kind, str], key: Callable[[], SecretStr | None]
) -> Removal | None:
    """Return what recognises a dataset's records of forgotten people; None if there are none.

    Args:
        files: The lake's files.
        fields: By kind of person, the dataset's field that identifies them.
        key: Returns the key, which is needed only if somebody was forgotten.

    Raises:
        LakehouseError: the key is missing or another one, or a receipt is damaged.
    """
    names = {kind.name for kind in fields}
    known = [receipt for receipt in receipts(files) if receipt.subject in names]
    if not known:
        return None
    secret = key()
    digests = digests_for(secret.get_secret_value() if secret else None, known)
    return Removal(fields, digests, frozenset(receipt.digest for receipt in known))


@dataclass(frozen=True)
class Removal:
    """Recognises the records of forgotten people in a dataset's files.

    Attributes:
        fields: By kind of person, the field that identifies them.
        digests: Computes digests.
        forgotten: The digests of those who are forgotten.
    """

    fields: Mapping[Kind, str]
    digests: Digests
    forgotten: frozenset[str]

    def is_forgotten(self, kind: Kind, identifier: str | None) -> bool:
        """Return whether an identifier is that of a forgotten person."""
        return bool(identifier) and self.digests.of(kind, str(identifier)) in self.forgotten

    def is_named_in(self, text: str | None) -> bool:
        """Return whether one of the words of a malformed record identifies a forgotten person."""
        words = _BETWEEN.split(text or "")
        return any(self.is_forgotten(kind, word) for kind in self.fields for word in words)

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Turn the records of forgotten people into rejects without text.

        Args:
            batch: Records as the reader of deliveries collects them: the fields as text and
                `_row_number` for a row; `_line`, `_text` and `_reason` for a reject.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        gone = _matches(batch["_text"], self.is_named_in)
        for kind, name in self.fields.items():
            gone = pc.or_(gone, _matches(batch[name], partial(self.is_forgotten, kind)))
        if not pc.any(gone).as_py():
            return batch
        was_row = pc.is_null(batch["_reason"])
        number = pc.negate(batch["_row_number"])
        changed = {
            "_reason": pc.if_else(gone, pa.scalar(REMOVED), batch["_reason"]),
            "_line": pc.if_else(pc.and_(gone, was_row), number, batch["_line"]),
            "_file": batch["_file"],
        }
        arrays = [
            changed[f.name]
            if f.name in changed
            else pc.if_else(gone, pa.scalar(None, f.type), batch[f.name])
            for f in batch.schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _matches(values: pa.Array, rule: Callable[[str | None], bool]) -> pa.Array:
    """Apply a rule to each distinct text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = values.dictionary_encode()
    found = pa.array([rule(text) for text in coded.dictionary.to_pylist()], pa.bool_())
    return pc.fill_null(found.take(coded.indices), False)
