"""Point 10 of the contract: one kind of credentials, secrets from the environment, never shown."""

import json
import traceback

import dagster as dg
import pytest
from pydantic import TypeAdapter, ValidationError

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.lake.credentials import (
    AccountKeyCredentials,
    AzureCliCredentials,
    Credentials,
    LocalCredentials,
    ManagedIdentityCredentials,
    SasCredentials,
    ServicePrincipalCredentials,
)
from lakehouse_assets_tests.lake.dagster_samples import SampleLake

SECRET = "T0pSecret/Value=="  # noqa: S105
NAME = "LAKE_TEST_SECRET"
SECRETIVE = [
    (
        AccountKeyCredentials(account="acc", account_key_env=NAME),
        {"azure_storage_account_name": "acc", "azure_storage_account_key": SECRET},
    ),
    (
        SasCredentials(account="acc", sas_token_env=NAME),
        {"azure_storage_account_name": "acc", "azure_storage_sas_token": SECRET},
    ),
    (
        ServicePrincipalCredentials(
            account="acc", tenant_id="t", client_id="c", client_secret_env=NAME
        ),
        {
            "azure_storage_account_name": "acc",
            "azure_storage_tenant_id": "t",
            "azure_storage_client_id": "c",
            "azure_storage_client_secret": SECRET,
        },
    ),
]
OPEN = [
    (LocalCredentials(), {}),
    (
        ManagedIdentityCredentials(account="acc", client_id="c"),
        {"azure_storage_account_name": "acc", "azure_storage_client_id": "c"},
    ),
    (ManagedIdentityCredentials(account="acc"), {"azure_storage_account_name": "acc"}),
    (
        AzureCliCredentials(account="acc"),
        {"azure_storage_account_name": "acc", "azure_use_azure_cli": "true"},
    ),
]


@pytest.mark.parametrize(("credentials", "options"), SECRETIVE + OPEN)
def test_options_are_resolved_when_they_are_asked_for(monkeypatch, credentials, options):
    monkeypatch.setenv(NAME, SECRET)
    assert credentials.storage_options() == options
    assert TypeAdapter(Credentials).validate_python(credentials.model_dump()) == credentials


@pytest.mark.parametrize(("credentials", "_options"), SECRETIVE)
def test_nothing_shows_the_secret(monkeypatch, tmp_path, capfd, credentials, _options):
    monkeypatch.setenv(NAME, SECRET)
    resource = SampleLake(root=str(tmp_path), credentials=credentials)
    lake = resource.open()

    @dg.asset
    def asks(lake: SampleLake) -> None:
        assert lake.credentials == credentials
        raise LakehouseError("on purpose")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asks], resources={"lake": resource}, instance=instance, raise_on_error=False
        )
        events = [str(record) for record in instance.all_logs(result.run_id)]
        config = json.dumps(dict(result.dagster_run.run_config))
    assert not result.success
    output = capfd.readouterr()
    shown = [
        repr(credentials), str(credentials), str(credentials.model_dump()), repr(resource),
        str(resource), str(resource.model_dump()), repr(lake), config, *events, output.out,
        output.err,
    ]  # fmt: skip
    assert any("on purpose" in text for text in events)
    assert not [text for text in shown if SECRET in text]
    assert NAME in repr(resource), "the variable's name is what may be seen"


@pytest.mark.parametrize(("credentials", "_options"), SECRETIVE)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_is_named(monkeypatch, credentials, _options, value):
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    with pytest.raises(LakehouseError, match=f"environment variable {NAME}.* is not set"):
        credentials.storage_options()


@pytest.mark.parametrize(
    ("kind", "made_of"),
    [
        (SasCredentials, {"account": "a", "sas_token_env": NAME, "sas_token": SECRET}),
        (AccountKeyCredentials, {"account": "a", "account_key": SECRET}),
        (AzureCliCredentials, {"account": "a", "acount": SECRET}),
        (LocalCredentials, {"account_key": SECRET}),
    ],
)
def test_unknown_keys_are_refused_without_showing_values(kind, made_of):
    with pytest.raises(ValidationError) as direct:
        kind(**made_of)
    assert SECRET not in str(direct.value)
    name = kind.model_fields["kind"].default
    with pytest.raises(ValidationError) as nested:
        SampleLake(root="lake", credentials={name: made_of})
    assert SECRET not in str(nested.value)


@pytest.mark.parametrize("given", [{"kind": "password"}, {"account": "a"}, {}])
def test_an_unknown_or_missing_kind_is_refused(given):
    with pytest.raises(ValidationError, match="union_tag"):
        TypeAdapter(Credentials).validate_python(given)


def test_a_secret_in_place_of_a_variables_name_is_refused_unseen():
    pasted = SasCredentials(account="acc", sas_token_env=SECRET)
    with pytest.raises(LakehouseError, match="holds no variable name") as caught:
        pasted.storage_options()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_leading_question_mark_of_a_token_is_dropped(monkeypatch):
    monkeypatch.setenv(NAME, "?sv=1&sig=2")
    options = SasCredentials(account="acc", sas_token_env=NAME).storage_options()
    assert options["azure_storage_sas_token"] == "sv=1&sig=2"  # noqa: S105


def test_a_store_that_cannot_be_reached_does_not_show_the_secret(monkeypatch):
    from deltalake import DeltaTable

    monkeypatch.setenv(NAME, "sv=1&sig=" + SECRET)
    options = SasCredentials(account="acc", sas_token_env=NAME).storage_options() | {
        "azure_storage_endpoint": "http://127.0.0.1:9/acc",
        "allow_http": "true",
        "max_retries": "0",
        "timeout": "2s",
    }
    with pytest.raises(OSError, match="error sending request") as caught:
        DeltaTable("abfss://c@acc.dfs.core.windows.net/x", storage_options=options)
    assert SECRET not in str(caught.value)
