"""The infrastructure file, as far as it can be judged without Bicep's compiler.

The compiler comes as a binary from outside the package registries, so that it is not to be had
where the tests run. Here: what is declared, against what the resources' schemas ask for, and that
what comes out are settings which this project takes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakehouse_assets.storage.identity import Identity
from lakehouse_assets.storage.location import CloudLocation, lake_root, landing_root, parse_location

TEXT = (Path(__file__).parents[2] / "deploy" / "azure.bicep").read_text(encoding="utf-8")
CODE = re.sub(r"//[^\n]*", "", TEXT)
# Type, its API version, and what its schema asks for at the top.
RESOURCES = {
    "storage": ("Microsoft.Storage/storageAccounts@2023-05-01", {"location", "kind", "sku"}),
    "blobs": ("Microsoft.Storage/storageAccounts/blobServices@2023-05-01", {"parent"}),
    "containers": (
        "Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01", {"parent"},
    ),
    "logs": (
        "Microsoft.OperationalInsights/workspaces@2023-09-01",
        {"location", "properties", "sku", "retentionInDays"},
    ),
    "blobLogs": (
        "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
        {"scope", "properties", "workspaceId", "logs", "categoryGroup", "metrics"},
    ),
    "runner": ("Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31", {"location"}),
    "federation": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31",
        {"parent", "properties", "issuer", "subject", "audiences"},
    ),
    "runnerWrites": (
        "Microsoft.Authorization/roleAssignments@2022-04-01",
        {"scope", "properties", "principalId", "roleDefinitionId"},
    ),
    "readersRead": (
        "Microsoft.Authorization/roleAssignments@2022-04-01",
        {"scope", "properties", "principalId", "roleDefinitionId"},
    ),
    "connector": ("Microsoft.Databricks/accessConnectors@2024-05-01", {"location", "identity"}),
    "connectorWrites": (
        "Microsoft.Authorization/roleAssignments@2022-04-01",
        {"scope", "properties", "principalId", "roleDefinitionId"},
    ),
    "workspace": (
        "Microsoft.Databricks/workspaces@2024-05-01",
        {"location", "sku", "properties", "managedResourceGroupId"},
    ),
}  # fmt: skip


def blocks() -> dict[str, tuple[str, str]]:
    """Return each resource's type and body by its name."""
    starts = list(re.finditer(r"^resource (\w+) '([^']+)' =", CODE, re.MULTILINE))
    ends = [m.start() for m in re.finditer(r"^(resource|output|@)", CODE, re.MULTILINE)]
    found = {}
    for start in starts:
        end = min((e for e in ends if e > start.start()), default=len(CODE))
        found[start[1]] = (start[2], CODE[start.end() : end])
    return found


def outputs() -> dict[str, str]:
    """Return what is put out, as it would be for an account of some name."""
    found = dict(re.findall(r"^output (\w+) string = '(.*)'$", TEXT, re.MULTILINE))
    values = {
        "storage.name": "acc01x", "environment().suffixes.storage": "core.windows.net",
        "runner.properties.clientId": "client",
    }  # fmt: skip
    return {
        name: re.sub(r"\$\{([^}]+)\}", lambda m: values[m[1]], text) for name, text in found.items()
    }


def test_what_is_declared_is_what_the_schemas_know():
    found = blocks()
    assert {name: kind for name, (kind, _) in found.items()} == {
        name: kind for name, (kind, _) in RESOURCES.items()
    }
    for name, (_, body) in found.items():
        given = set(re.findall(r"^\s*(\w+):", body, re.MULTILINE))
        assert RESOURCES[name][1] | {"name"} <= given, name
        for opening, closing in ("{}", "[]", "()"):
            assert body.count(opening) == body.count(closing), name


def test_every_name_that_is_used_is_declared():
    declared = set(re.findall(r"^(?:param|var|resource) (\w+)", CODE, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)[.}]", CODE)) | set(
        re.findall(r"\b(\w+)\.(?:id|name)\b", CODE)
    )
    assert used - {"environment"} <= declared
    for parameter in re.findall(r"^param (\w+)", CODE, re.MULTILINE):
        assert len(re.findall(rf"\b{parameter}\b", CODE)) > 1, f"{parameter} is not used"
        assert re.search(rf"@description\('[^']+'\)[^p]*(@\w+\([^)]*\)\s*)*param {parameter}", TEXT)


def test_nobody_is_given_more_than_data_and_nothing_is_open_by_key():
    roles = dict(re.findall(r"^var (\w+Role) = '([^']+)'", CODE, re.MULTILINE))
    # Azure's own ids of Storage Blob Data Contributor and Storage Blob Data Reader.
    assert roles == {
        "contributorRole": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "readerRole": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    }
    _, body = blocks()["storage"]
    for line in (
        "isHnsEnabled: true", "allowSharedKeyAccess: false", "allowBlobPublicAccess: false",
        "minimumTlsVersion: 'TLS1_2'",
    ):  # fmt: skip
        assert line in body
    # Reached from nowhere until networks are named, and then from those alone.
    network = (
        "publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'", "defaultAction: 'Deny'",
        "bypass: 'None'", "for address in allowedAddresses:", "for subnet in allowedSubnets:",
    )  # fmt: skip
    assert [line for line in network if line not in body] == []
    assert "var someNetworks = !empty(allowedAddresses) || !empty(allowedSubnets)" in CODE
    for name in ("allowedAddresses", "allowedSubnets"):
        assert re.search(rf"^param {name} array = \[\]$", CODE, re.MULTILINE)
    assert "readerRole" in blocks()["readersRead"][1]
    assert "scope: containers[0]" in blocks()["readersRead"][1], "readers see no landing zone"


def test_what_is_deleted_can_be_brought_back_and_what_is_done_is_logged():
    kept = re.findall(
        r"(\w+RetentionPolicy): \{\s*enabled: true\s*days: retentionDays", blocks()["blobs"][1]
    )
    assert kept == ["deleteRetentionPolicy", "containerDeleteRetentionPolicy"]
    _, logs = blocks()["blobLogs"]
    assert "scope: blobs" in logs
    assert re.search(r"categoryGroup: 'allLogs'\s*enabled: true", logs)


def test_what_comes_out_are_settings_of_this_project():
    found = outputs()
    containers = re.findall(r"'(\w+)'", re.search(r"containerNames = \[(.*?)\]", CODE, re.S)[1])
    for place, name in (
        (lake_root(found["root"]), "lake"),
        (landing_root(found["landing"]), "landing"),
        (parse_location(found["artifacts"]), "models"),
    ):
        assert isinstance(place, CloudLocation)
        assert (place.account, place.container) == ("acc01x", name)
        assert name in containers
    identity = Identity.model_validate(found["identity"])
    assert identity == Identity(kind="managed_identity", client_id="client")


@pytest.mark.parametrize("output", ["root", "landing", "artifacts", "identity"])
def test_every_output_says_what_it_is_for(output):
    assert re.search(rf"@description\('For LAKEHOUSE_\w+[^']*'\)\noutput {output} ", TEXT)
