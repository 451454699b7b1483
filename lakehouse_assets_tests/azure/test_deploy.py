"""The infrastructure file, as far as it can be judged without Bicep's compiler.

The compiler comes as a binary from outside the package registries, so it is not available where the
tests run. Here a parser reads the file. What it declares is compared with the code (containers,
topics, settings) and with the page that explains it, roles and networks with what they should be.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pycep import BicepParser

from lakehouse_assets.domains import DOMAINS
from lakehouse_assets.settings import Settings
from lakehouse_assets.sources.kafka_address import parse
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation, lake_root, landing_root, parse_location
from lakehouse_assets_tests.airline.samples import REPOSITORY

FILE = REPOSITORY / "deploy" / "azure.bicep"
TEXT = FILE.read_text(encoding="utf-8")
CODE = re.sub(r"//[^\n]*", "", TEXT)
PAGE = (REPOSITORY / "docs" / "how-to" / "azure.md").read_text(encoding="utf-8")
# Azure's own roles by the variables that hold their ids, as the page names them.
ROLES = {
    "contributorRole": ("ba92f5b4-2d11-453d-a403-e96b0029c9fe", "Storage Blob Data Contributor"),
    "readerRole": ("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "Storage Blob Data Reader"),
    "secretsRole": ("4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User"),
    "receiverRole": ("a638d3c7-ab3a-418d-83e6-5f17a39d4fde", "Azure Event Hubs Data Receiver"),
}
# Who gets which role, and on what.
ASSIGNMENTS = {
    "runnerWrites": ("contributorRole", "containers[index]", "runner.properties.principalId"),
    "readersRead": ("readerRole", "containers[0]", "reader"),
    "connectorWrites": ("contributorRole", "storage", "connector!.identity.principalId"),
    "runnerReadsSecrets": ("secretsRole", "vault", "runner.properties.principalId"),
    "runnerReceives": ("receiverRole", "events", "runner.properties.principalId"),
}
# What is logged, and where.
LOGGED = {
    "blobLogs": ("blobs", "allLogs"), "vaultLogs": ("vault", "audit"),
    "eventLogs": ("events", "audit"), "workspaceLogs": ("workspace", "allLogs"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bicep() -> dict[str, Any]:
    """The file as its parser reads it, which refuses a broken one."""
    return BicepParser().parse(file_path=Path(FILE))


def body(name: str) -> str:
    """Return the text of a resource."""
    found = re.search(rf"^resource {name} .*?^(?:\}}|\])$", CODE, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[0]


def names(variable: str) -> list[str]:
    """Return the texts of a variable that is a list."""
    found = re.search(rf"^var {variable} = \[(.*?)\]", CODE, re.MULTILINE | re.DOTALL)
    assert found, variable
    return re.findall(r"'([^']+)'", found[1])


def outputs() -> dict[str, str]:
    """Return what is put out, as it would be for an account of some name."""
    found = dict(re.findall(r"^output (\w+) string = (.*)$", TEXT, re.MULTILINE))
    values = {
        "storage.name": "acc01x", "environment().suffixes.storage": "core.windows.net",
        "runner.properties.clientId": "client", "events.name": "lake-events-01x",
    }  # fmt: skip
    texts = {name: re.search(r"'(.+?)'( : ''|)$", line) for name, line in found.items()}
    return {
        name: re.sub(r"\$\{([^}]+)\}", lambda m: values[m[1]], text[1])
        for name, text in texts.items()
        if text
    }


def test_every_name_that_is_used_is_declared_and_explained(bicep: dict[str, Any]) -> None:
    declared = {*bicep["parameters"], *bicep["variables"], *bicep["resources"]}
    used = set(re.findall(r"\$\{(\w+)[.}]", CODE)) | set(
        re.findall(r"\b(\w+)\.(?:id|name)\b", CODE)
    )
    assert used - {"environment"} <= declared
    for name in declared:
        assert len(re.findall(rf"\b{name}\b", CODE)) > 1 or name in bicep["resources"], name
    for name, parameter in bicep["parameters"].items():
        assert any(d["type"] == "description" for d in parameter["decorators"]), name
        assert f"`{name}`" in PAGE or f"{name}=" in PAGE, f"{name} is not on the page"
    for name, output in bicep["outputs"].items():
        assert any(d["type"] == "description" for d in output["decorators"]), name
        assert f"`{name}`" in PAGE, f"{name} is not on the page"


def test_each_role_is_the_least_that_is_needed(bicep: dict[str, Any]) -> None:
    assert dict(re.findall(r"^var (\w+Role) = '([^']+)'", CODE, re.MULTILINE)) == {
        variable: role_id for variable, (role_id, _) in ROLES.items()
    }
    kind = "Microsoft.Authorization/roleAssignments"
    assigned = {name for name, found in bicep["resources"].items() if found["type"] == kind}
    assert assigned == ASSIGNMENTS.keys()
    for name, (role, scope, who) in ASSIGNMENTS.items():
        text = body(name)
        assert f"'Microsoft.Authorization/roleDefinitions', {role})" in text, name
        assert re.search(rf"^\s*scope: {re.escape(scope)}$", text, re.MULTILINE), name
        assert f"principalId: {who}" in text, name
    for _, title in ROLES.values():
        assert f"*{title}*" in PAGE, f"{title} is not on the page"


def test_nothing_is_open_by_key_or_from_everywhere() -> None:
    for name, lines in {
        "storage": (
            "isHnsEnabled: true", "allowSharedKeyAccess: false", "allowBlobPublicAccess: false",
            "minimumTlsVersion: 'TLS1_2'", "bypass: 'None'",
        ),
        "vault": (
            "enableRbacAuthorization: true", "enablePurgeProtection: true", "bypass: 'None'",
        ),
        "events": ("disableLocalAuth: true", "minimumTlsVersion: '1.2'", "name: 'Standard'"),
        "eventNetworks": ("trustedServiceAccessEnabled: false",),
    }.items():  # fmt: skip
        assert [line for line in lines if line not in body(name)] == [], name
    # Reached from nowhere until networks are named, and then from those alone.
    for name in ("storage", "vault", "eventNetworks"):
        for line in (
            "publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'", "defaultAction: 'Deny'",
            "for address in allowedAddresses:", "for subnet in allowedSubnets:",
        ):  # fmt: skip
            assert line in body(name), (name, line)
    assert "var someNetworks = !empty(allowedAddresses) || !empty(allowedSubnets)" in CODE
    for name in ("allowedAddresses", "allowedSubnets"):
        assert re.search(rf"^param {name} array = \[\]$", CODE, re.MULTILINE)


def test_what_is_deleted_can_be_brought_back_and_what_is_done_is_logged(
    bicep: dict[str, Any],
) -> None:
    kept = re.findall(r"(\w+RetentionPolicy): \{\s*enabled: true\s*days: retentionDays", CODE)
    assert kept == ["deleteRetentionPolicy", "containerDeleteRetentionPolicy"]
    kind = "Microsoft.Insights/diagnosticSettings"
    assert {n for n, r in bicep["resources"].items() if r["type"] == kind} == LOGGED.keys()
    for name, (scope, group) in LOGGED.items():
        assert f"scope: {scope}\n" in body(name)
        assert "workspaceId: logsId\n" in body(name)
        assert re.search(rf"categoryGroup: '{group}'\s*enabled: true", body(name)), name


def test_containers_and_hubs_are_those_of_the_code() -> None:
    streams = {stream.topic for domain in DOMAINS for stream in domain.streams}
    assert set(names("hubNames")) == streams
    assert names("containerNames")[0] == "lake", "readers read the first container"
    for name in (*names("containerNames"), *names("hubNames")):
        assert f"`{name}`" in PAGE, f"{name} is not on the page"


def test_what_comes_out_are_settings_of_this_project() -> None:
    found = outputs()
    for place, name in (
        (lake_root(found["root"]), "lake"),
        (landing_root(found["landing"]), "landing"),
        (parse_location(found["artifacts"]), "models"),
    ):
        assert isinstance(place, CloudLocation)
        assert (place.account, place.container) == ("acc01x", name)
        assert name in names("containerNames")
    identity = Identity.model_validate(found["identity"])
    assert identity == Identity(kind="managed_identity", client_id="client")
    address = parse("LAKEHOUSE_STREAM_DEVICES", found["devices"], None, identity)
    assert (address.kind, address.encrypted) == ("eventhubs", True)
    known = {f"LAKEHOUSE_{name.upper()}" for name in Settings.model_fields}
    named = re.findall(r"@description\('For (LAKEHOUSE_\w+)", TEXT)
    assert len(named) == 5
    assert set(named) - known == {"LAKEHOUSE_STREAM_DEVICES"}
