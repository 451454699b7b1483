"""Write a model's files, and check them before any of them is loaded.

A model has MLflow's scikit-learn flavour in the skops format; nothing else is loaded. MLflow's own
loaders are not used, because they take the file format, and the types that skops may create, from
the model's own files.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.errors import LakehouseError

if TYPE_CHECKING:
    from mlflow.models import Model
    from mlflow.types import Schema

    from lakehouse_assets.ml.spec import ModelSpec

MODEL_FILES: Final = frozenset(
    {"MLmodel", "model.skops", "requirements.txt", "conda.yaml", "python_env.yaml"}
)
"""The files of every model; a folder that holds anything else is refused."""

MOST_BYTES: Final = 512 * 2**20
"""Size in bytes above which a model is refused unread."""

# Packages that loading a model needs; skops is its file format. Listing them avoids MLflow's
# inference, which loads the model in a new process and takes many seconds.
_REQUIREMENTS: Final = ("mlflow", "numpy", "scikit-learn", "skops")
# Types that every model may contain: values, containers and arrays.
_PLAIN_TYPES: Final = frozenset(
    {"builtins.str", "builtins.dict", "builtins.list", "builtins.tuple"}
    | {f"numpy.{name}" for name in ("ndarray", "float64", "int64", "int32")}
)
# The skops nodes that only create objects; its other nodes call functions and reconstructors by
# name.
_LOADERS: Final = frozenset(
    f"{name}Node" for name in ("Object", "Dict", "List", "Tuple", "Json", "Type", "NdArray")
)
_SKOPS_PROTOCOL: Final = 2
# The loading instructions in an MLmodel file, without library versions, which differ.
_FLAVORS: Final[dict[str, dict[str, Any]]] = {
    "python_function": {
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.sklearn",
        "model_path": "model.skops",
        "predict_fn": "predict",
    },
    "sklearn": {
        "code": None,
        "pickled_model": "model.skops",
        "serialization_format": "skops",
    },
}
_DESCRIPTION_BYTES: Final = 2**20


def types_of(*kinds: type) -> frozenset[str]:
    """Return the names of the types that a model contains, for its declaration."""
    return frozenset(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)


def save_model(spec: ModelSpec, model: Any, folder: Path, description: Model) -> str:
    """Write a model in the skops format, with its signature and pinned requirements.

    Args:
        spec: The model's declaration.
        model: Fitted scikit-learn estimator.
        folder: Folder to create.
        description: MLflow's description of the model: its id and run.

    Returns:
        The digest of the files, for `load_model`.

    Raises:
        LakehouseError: the model contains a type that is not declared.
    """
    import mlflow.sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    mlflow.sklearn.save_model(
        model,
        str(folder),
        mlflow_model=description,
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        signature=ModelSignature(input_schema(spec), Schema([ColSpec(DataType[spec.output])])),
        pip_requirements=[f"{p}=={installed_version(p)}" for p in _REQUIREMENTS],
        skops_trusted_types=sorted(spec.types),
    )
    digest = digest_of_files(folder)
    check_files(folder, digest, spec.types, "The model that was just fitted")
    return digest


def input_schema(spec: ModelSpec) -> Schema:
    """Return the columns that a model predicts from, as MLflow has them."""
    from mlflow.types import ColSpec, DataType, Schema

    return Schema(
        [
            ColSpec(DataType.string if name in spec.texts else DataType.double, name)
            for name in spec.features
        ]
    )


def digest_of_files(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of a model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def load_model(folder: Path, digest: str, types: Collection[str], what: str) -> Any:
    """Load a model that `save_model` wrote, if its files are unchanged and in our format.

    Args:
        folder: A private copy of the files.
        digest: Digest that was recorded when the model was registered.
        types: Types that the model may contain, in addition to plain values and arrays.
        what: Name of the model for messages.

    Raises:
        LakehouseError: the files are not those that were registered, or not in our format.
    """
    check_files(folder, digest, types, what)
    import skops.io

    with _unreadable_is_refused(what):
        return skops.io.load(folder / "model.skops", trusted=sorted(types))


def check_files(folder: Path, digest: str, types: Collection[str], what: str) -> None:
    """Check a model's files without importing or creating anything that they name.

    Raises:
        LakehouseError: as for `load_model`.
    """
    found = {path.name for path in folder.iterdir()}
    if found != MODEL_FILES:
        names = ", ".join(sorted(found ^ MODEL_FILES))
        raise _refused(what, f"these files are missing or do not belong to it: {names}")
    if digest_of_files(folder) != digest:
        raise _refused(what, "its files are not those that were registered")
    with _unreadable_is_refused(what):
        _check_description(folder / "MLmodel", types, what)
        _check_archive(folder / "model.skops", types, what)


@contextmanager
def _unreadable_is_refused(what: str) -> Iterator[None]:
    try:
        yield
    except LakehouseError:
        raise
    except Exception as error:  # noqa: BLE001 - untrusted files can make a reader raise anything
        raise _refused(what, f"it cannot be read ({type(error).__name__})") from None


def _check_description(path: Path, types: Collection[str], what: str) -> None:
    """Refuse an MLmodel file that would load anything but our skops file."""
    import yaml  # type: ignore[import-untyped]

    if path.stat().st_size > _DESCRIPTION_BYTES:
        raise _refused(what, "its MLmodel is too large")
    found = yaml.safe_load(path.read_bytes())["flavors"]
    if set(found) != set(_FLAVORS):
        raise _refused(what, f"its MLmodel has the flavours {', '.join(map(str, found))}")
    for flavor, wanted in _FLAVORS.items():
        versions = {"python_version", "sklearn_version"}
        given = {key: value for key, value in found[flavor].items() if key not in versions}
        expected = dict(wanted)
        if flavor == "sklearn":
            expected["skops_trusted_types"] = sorted(types)
        for key in sorted(given.keys() | expected.keys()):
            if given.get(key) != expected.get(key):
                raise _refused(
                    what,
                    f"its MLmodel has {flavor}.{key} = {given.get(key)!r} instead of "
                    f"{expected.get(key)!r}",
                )


def _check_archive(path: Path, types: Collection[str], what: str) -> None:
    """Refuse a skops file that unpacks to more than its size, or has a type not listed."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or unpacked > size or size > MOST_BYTES:
            raise _refused(what, f"its {size:,} bytes unpack to {unpacked:,}, or are compressed")
        schema = json.loads(archive.read("schema.json"))
        arrays = [archive.read(m) for m in members if m.filename.endswith(".npy")]
    if schema.get("protocol") != _SKOPS_PROTOCOL:
        raise _refused(what, f"it has skops protocol {schema.get('protocol')!r}")
    allowed = _PLAIN_TYPES | set(types)
    for node in _nodes(schema):
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if name not in allowed or node.get("__loader__") not in _LOADERS:
            raise _refused(what, f"it holds {name} ({node.get('__loader__')}), which is not listed")
    for array in arrays:
        _check_array(array, what)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a skops schema, without recursion because nesting may be very deep."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "__class__" in value or "__loader__" in value or "__module__" in value:
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_array(data: bytes, what: str) -> None:
    """Refuse an array of objects, or one whose header asks for more memory than its bytes."""
    import numpy as np

    reader = io.BytesIO(data)
    version = np.lib.format.read_magic(reader)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, kind = header[version](reader)
    if kind.hasobject or int(np.prod(shape, dtype=object)) * kind.itemsize > len(data):
        raise _refused(what, f"an array of shape {shape} does not fit its {len(data):,} bytes")


def _refused(what: str, reason: str) -> LakehouseError:
    """Return the error for a model that is not loaded."""
    return LakehouseError(
        f"{what} is not loaded: {reason}. Restore its files from a copy, or delete the version "
        "and run its asset again."
    )
