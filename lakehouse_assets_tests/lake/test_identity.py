"""Point 10 of the contract: one kind of identity, secrets from outside, never shown."""

import json
import shutil
import traceback

import dagster as dg
import pytest
from pydantic import ValidationError

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.resources import LandingResource
from lakehouse_assets.settings import Settings, load_settings
from lakehouse_assets.storage.identity import Identity
from lakehouse_assets_tests.lake.dagster_samples import SampleLake

SECRET = "T0pSecret/Value=="  # noqa: S105
NAME = "LAKE_TEST_SECRET"
LAKE = "abfss://lake@acc01.dfs.core.windows.net/a"
IDS = {"tenant_id": "t", "client_id": "c"}
# Each kind that has a secret, with the name of the variable or the file that holds it.
SECRETIVE = [
    Identity(kind="account_key", key_env=NAME),
    Identity(kind="sas", token_env=NAME),
    Identity(kind="service_principal", **IDS, secret_env=NAME),
    Identity(kind="service_principal_certificate", **IDS, certificate_file="x", password_env=NAME),
]
AZURE = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "AZURE_AUTHORITY_HOST",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in AZURE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("identity", SECRETIVE)
def test_a_secret_is_read_when_it_is_asked_for(monkeypatch, identity):
    for value in (None, ""):
        monkeypatch.delenv(NAME, raising=False)
        if value is not None:
            monkeypatch.setenv(NAME, value)
        with pytest.raises(LakehouseError, match=f"environment variable {NAME}.* is not set"):
            identity.secret()
    monkeypatch.setenv(NAME, SECRET)
    assert identity.secret() == SECRET
    assert Identity.model_validate(identity.model_dump()) == identity


@pytest.mark.parametrize(
    ("kind", "field"),
    [("account_key", "key_file"), ("sas", "token_file"), ("service_principal", "secret_file")],
)
def test_a_mounted_secret_is_read_anew_each_time(tmp_path, kind, field):
    mounted = tmp_path / "secret"
    identity = Identity.model_validate({"kind": kind, field: str(mounted)})
    with pytest.raises(LakehouseError, match="is missing, empty or not readable"):
        identity.secret()
    for value in (SECRET, "rotated"):
        mounted.write_text(value + "\n", encoding="utf-8")
        assert identity.secret() == value


@pytest.mark.parametrize("identity", SECRETIVE)
def test_nothing_shows_the_secret(monkeypatch, tmp_path, capfd, identity):
    monkeypatch.setenv(NAME, SECRET)
    lake = SampleLake(root=str(tmp_path), identity=identity.fields())
    zone = LandingResource(root=str(tmp_path), identity=identity.fields())

    @dg.asset
    def asks(lake: SampleLake, zone: LandingResource) -> None:
        assert lake.identity == zone.identity == identity.fields()
        raise LakehouseError("on purpose")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asks], resources={"lake": lake, "zone": zone}, instance=instance, raise_on_error=False
        )
        events = [str(record) for record in instance.all_logs(result.run_id)]
        config = json.dumps(dict(result.dagster_run.run_config))
    assert not result.success
    output = capfd.readouterr()
    shown = [
        repr(identity), str(identity), str(identity.model_dump()), repr(lake), str(lake),
        str(lake.model_dump()), repr(zone), str(zone.model_dump()), repr(lake.open()), config,
        *events, output.out, output.err,
    ]  # fmt: skip
    assert any("on purpose" in text for text in events)
    assert not [text for text in shown if SECRET in text]
    assert NAME in repr(lake), "the variable's name is what may be seen"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "password"}, "its kind must be one of default, account_key, "),
        ({}, "its kind must be one of"),
        ({"kind": "sas", "token_env": NAME, "sas_token": SECRET}, "sas_token is not a field of"),
        ({"kind": "account_key", "secret_env": NAME}, "whose fields are key_env, key_file, "),
        ({"kind": "azure_cli", "account": SECRET}, "whose fields are none"),
        ({"kind": "managed_identity", "client_id": "a", "resource_id": "b"}, "give only one of "),
        ({"kind": "sas", "token_env": SECRET}, "token_env is not the name of a variable"),
        ({"kind": "account_key", "key_env": "lower_case"}, "not the name of a variable"),
        ({"kind": "service_principal", "client_id": [SECRET]}, "valid string"),
    ],
)
def test_what_is_no_identity_is_refused_without_its_values(monkeypatch, given, told):
    def refused(made_of):
        with pytest.raises((ValidationError, LakehouseError), match=told) as caught:
            made_of()
        assert SECRET not in "".join(traceback.format_exception(caught.value))

    refused(lambda: Identity.model_validate(given))
    refused(lambda: SampleLake(root="lake", identity=given))
    refused(lambda: LandingResource(root="lake", identity=given))
    monkeypatch.setenv("LAKEHOUSE_IDENTITY", json.dumps(given))
    refused(load_settings)


def test_a_leading_question_mark_of_a_token_is_dropped(monkeypatch):
    monkeypatch.setenv(NAME, "?sv=1&sig=2")
    assert Identity(kind="sas", token_env=NAME).secret() == "sv=1&sig=2"
    monkeypatch.setenv(NAME, "?pass")
    assert Identity(kind="service_principal", secret_env=NAME).secret() == "?pass"


@pytest.mark.parametrize(
    ("given", "identity"),
    [
        ("azure_cli", Identity(kind="azure_cli")),
        (" managed_identity ", Identity(kind="managed_identity")),
        (
            '{"kind": "service_principal", "tenant_id": "t", "client_id": "c"}',
            Identity(kind="service_principal", **IDS),
        ),
        ('{"kind": "workload_identity"}', Identity(kind="workload_identity")),
    ],
)
def test_settings_take_a_kind_or_json(monkeypatch, given, identity):
    monkeypatch.setenv("LAKEHOUSE_ROOT", LAKE)
    monkeypatch.setenv("LAKEHOUSE_IDENTITY", given)
    settings = load_settings()
    assert settings.identity == settings.zone_identity == identity
    monkeypatch.setenv("LAKEHOUSE_LANDING_IDENTITY", "sas")
    assert load_settings().zone_identity == Identity(kind="sas")
    assert load_settings().identity == identity


@pytest.mark.parametrize(
    "given",
    [SECRET, f'{{"kind": "sas", "token": "{SECRET}"}}', f'"{SECRET}"', f'{{"kind": "{SECRET}"}}'],
)
def test_a_wrong_identity_in_settings_is_told_without_its_text(monkeypatch, given):
    monkeypatch.setenv("LAKEHOUSE_IDENTITY", given)
    with pytest.raises(LakehouseError, match="Setting LAKEHOUSE_IDENTITY") as caught:
        load_settings()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_places_in_settings_are_told_with_their_right_form(monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_ROOT", "wasbs://lake@acc01.blob.core.windows.net/a")
    with pytest.raises(
        LakehouseError, match=r"LAKEHOUSE_ROOT cannot be used: .*write a folder, abfss://"
    ):
        load_settings()
    monkeypatch.setenv("LAKEHOUSE_ROOT", LAKE)
    monkeypatch.setenv(
        "LAKEHOUSE_LANDING", "abfss://s@onelake.dfs.fabric.microsoft.com/a.Lakehouse/Tables"
    )
    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_LANDING .*/a\.Lakehouse/Files"):
        load_settings()
    monkeypatch.setenv("LAKEHOUSE_LANDING", "data")
    assert str(load_settings().root) == LAKE


def test_places_may_be_of_two_kinds(tmp_path):
    settings = Settings(root=LAKE, landing=tmp_path)
    assert str(settings.root) == LAKE
    assert settings.landing == tmp_path


@pytest.mark.parametrize(
    ("variables", "has_cli", "found"),
    [
        ({}, False, Identity(kind="managed_identity")),
        ({}, True, Identity(kind="azure_cli")),
        ({"IDENTITY_ENDPOINT": "e"}, True, Identity(kind="managed_identity")),
        (
            {"IDENTITY_ENDPOINT": "e", "AZURE_CLIENT_ID": "c"}, True,
            Identity(kind="managed_identity", client_id="c"),
        ),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}, True,
            Identity(kind="service_principal"),
        ),
        ({"AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}, True, Identity(kind="azure_cli")),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_FEDERATED_TOKEN_FILE": "f",
             "AZURE_CLIENT_SECRET": "s"}, True,
            Identity(kind="workload_identity"),
        ),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_CERTIFICATE_PATH": "f"},
            True,
            Identity(kind="service_principal_certificate"),
        ),
    ],
)  # fmt: skip
def test_the_default_is_what_the_place_is_set_up_for(monkeypatch, variables, has_cli, found):
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/az" if has_cli else None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Identity(kind="default").resolved() == found
    assert Identity(kind="sas").resolved() == Identity(kind="sas")


@pytest.mark.parametrize(
    ("given", "field", "told"),
    [
        ({"kind": "service_principal"}, "tenant_id", "has no tenant_id.*AZURE_TENANT_ID"),
        ({"kind": "service_principal"}, "client_id", "has no client_id.*AZURE_CLIENT_ID"),
        ({"kind": "workload_identity"}, "token_file", "no token_file.*AZURE_FEDERATED_TOKEN_FILE"),
        (
            {"kind": "workload_identity", "token_file": "/no/such"}, "token_file",
            "/no/such of the identity.s token_file does not exist",
        ),
        (
            {"kind": "service_principal_certificate"}, "certificate_file",
            "AZURE_CLIENT_CERTIFICATE_PATH",
        ),
    ],
)  # fmt: skip
def test_what_an_identity_lacks_is_named(given, field, told):
    with pytest.raises(LakehouseError, match=told):
        Identity.model_validate(given).value(field)
