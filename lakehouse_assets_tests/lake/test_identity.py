"""Point 10 of the contract: one kind of identity, secrets from outside, never shown."""

import json
import shutil
import traceback

import dagster as dg
import pytest
from pydantic import TypeAdapter, ValidationError

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.orchestration.landing_resource import LandingResource
from lakehouse_assets.settings import Settings, load_settings
from lakehouse_assets.storage.identity import (
    AccountKey,
    AzureCli,
    DefaultIdentity,
    Identity,
    ManagedIdentity,
    ServicePrincipal,
    ServicePrincipalCertificate,
    SharedAccessSignature,
    WorkloadIdentity,
    fields_of,
    identity_of,
    resolve,
)
from lakehouse_assets_tests.lake.dagster_samples import SampleLake

SECRET = "T0pSecret/Value=="  # noqa: S105
NAME = "LAKE_TEST_SECRET"
LAKE = "abfss://lake@acc01.dfs.core.windows.net/a"
IDS = {"tenant_id": "t", "client_id": "c"}
# Each identity that has a secret, and how the secret is read.
SECRETIVE = [
    (AccountKey(key_env=NAME), "key"),
    (SharedAccessSignature(token_env=NAME), "token"),
    (ServicePrincipal(**IDS, secret_env=NAME), "secret"),
    (ServicePrincipalCertificate(**IDS, certificate_file="x", password_env=NAME), "password"),
]
AZURE = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "AZURE_AUTHORITY_HOST",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in AZURE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("identity", "field"), SECRETIVE)
def test_a_secret_is_read_when_it_is_asked_for(monkeypatch, identity, field):
    monkeypatch.setenv(NAME, SECRET)
    assert getattr(identity, field)().get_secret_value() == SECRET
    assert TypeAdapter(Identity).validate_python(identity.model_dump()) == identity


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda path: AccountKey(key_file=path), "key"),
        (lambda path: SharedAccessSignature(token_file=path), "token"),
        (lambda path: ServicePrincipal(**IDS, secret_file=path), "secret"),
    ],
)
def test_a_mounted_secret_is_read_anew_each_time(tmp_path, make, field):
    mounted = tmp_path / "secret"
    identity = make(str(mounted))
    with pytest.raises(LakehouseError, match="is missing, empty or not readable"):
        getattr(identity, field)()
    for value in (SECRET, "rotated"):
        mounted.write_text(value + "\n", encoding="utf-8")
        assert getattr(identity, field)().get_secret_value() == value


@pytest.mark.parametrize(("identity", "_field"), SECRETIVE)
def test_nothing_shows_the_secret(monkeypatch, tmp_path, capfd, identity, _field):
    monkeypatch.setenv(NAME, SECRET)
    lake = SampleLake(root=str(tmp_path), identity=fields_of(identity))
    zone = LandingResource(root=str(tmp_path), identity=fields_of(identity))

    @dg.asset
    def asks(lake: SampleLake, zone: LandingResource) -> None:
        assert identity_of(lake.identity) == identity_of(zone.identity) == identity
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
    "identity",
    [
        *(identity for identity, _ in SECRETIVE),
        ManagedIdentity(object_id="o"),
        WorkloadIdentity(**IDS, token_file="f"),  # noqa: S106 - a name
        AzureCli(),
        DefaultIdentity(),
    ],
)
def test_a_resource_gives_back_the_identity_that_it_was_given(identity):
    given = LandingResource(root="lake", identity=fields_of(identity)).identity
    assert identity_of(given) == identity
    assert type(identity_of(given)) is type(identity)


@pytest.mark.parametrize(("identity", "field"), SECRETIVE)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_is_named(monkeypatch, identity, field, value):
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    with pytest.raises(LakehouseError, match=f"environment variable {NAME}.* is not set"):
        getattr(identity, field)()


@pytest.mark.parametrize(
    ("kind", "made_of"),
    [
        (SharedAccessSignature, {"token_env": NAME, "sas_token": SECRET}),
        (AccountKey, {"account_key": SECRET}),
        (AzureCli, {"account": SECRET}),
        (ServicePrincipal, {"client_secret": SECRET}),
        (DefaultIdentity, {"secret": SECRET}),
    ],
)
def test_unknown_keys_are_refused_without_showing_values(kind, made_of):
    with pytest.raises(ValidationError) as direct:
        kind(**made_of)
    assert SECRET not in str(direct.value)
    name = kind.model_fields["kind"].default
    for resource in (SampleLake, LandingResource):
        with pytest.raises(ValidationError) as nested:
            resource(root="lake", identity={"kind": name, **made_of})
        assert SECRET not in str(nested.value)


@pytest.mark.parametrize("given", [{"kind": "password"}, {"key_env": "a"}, {}])
def test_an_unknown_or_missing_kind_is_refused(given):
    with pytest.raises(ValidationError, match="union_tag"):
        TypeAdapter(Identity).validate_python(given)


def test_a_managed_identity_is_named_once():
    with pytest.raises(ValidationError, match="name one of client_id, object_id and resource_id"):
        ManagedIdentity(client_id="a", resource_id="b")


@pytest.mark.parametrize("pasted", [SECRET, "sv=2024&sig=abc", "lower_case"])
def test_a_secret_in_place_of_a_variables_name_is_refused_unseen(pasted):
    with pytest.raises(LakehouseError, match="is not the name of a variable") as caught:
        SharedAccessSignature(token_env=pasted).token()
    assert pasted not in "".join(traceback.format_exception(caught.value))


def test_a_leading_question_mark_of_a_token_is_dropped(monkeypatch):
    monkeypatch.setenv(NAME, "?sv=1&sig=2")
    assert SharedAccessSignature(token_env=NAME).token().get_secret_value() == "sv=1&sig=2"


@pytest.mark.parametrize(
    ("given", "identity"),
    [
        ("azure_cli", AzureCli()),
        (" managed_identity ", ManagedIdentity()),
        (
            '{"kind": "service_principal", "tenant_id": "t", "client_id": "c"}',
            ServicePrincipal(**IDS),
        ),
        ('{"kind": "workload_identity"}', WorkloadIdentity()),
    ],
)
def test_settings_take_a_kind_or_json(monkeypatch, given, identity):
    monkeypatch.setenv("LAKEHOUSE_ROOT", LAKE)
    monkeypatch.setenv("LAKEHOUSE_IDENTITY", given)
    settings = load_settings()
    assert settings.identity == settings.zone_identity == identity
    monkeypatch.setenv("LAKEHOUSE_LANDING_IDENTITY", "sas")
    assert load_settings().zone_identity == SharedAccessSignature()
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
    with pytest.raises(LakehouseError, match=f"LAKEHOUSE_ROOT cannot be used: .*write {LAKE}"):
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
        ({}, False, ManagedIdentity()),
        ({}, True, AzureCli()),
        ({"IDENTITY_ENDPOINT": "e"}, True, ManagedIdentity()),
        (
            {"IDENTITY_ENDPOINT": "e", "AZURE_CLIENT_ID": "c"}, True,
            ManagedIdentity(client_id="c"),
        ),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}, True,
            ServicePrincipal(),
        ),
        ({"AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}, True, AzureCli()),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_FEDERATED_TOKEN_FILE": "f",
             "AZURE_CLIENT_SECRET": "s"}, True,
            WorkloadIdentity(),
        ),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_CERTIFICATE_PATH": "f"},
            True,
            ServicePrincipalCertificate(),
        ),
    ],
)  # fmt: skip
def test_the_default_is_what_the_place_is_set_up_for(monkeypatch, variables, has_cli, found):
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/az" if has_cli else None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert resolve(DefaultIdentity()) == found
    assert resolve(AccountKey()) == AccountKey()


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (lambda: ServicePrincipal(client_id="c").tenant(), "has no tenant_id.*AZURE_TENANT_ID"),
        (lambda: ServicePrincipal(tenant_id="t").client(), "has no client_id.*AZURE_CLIENT_ID"),
        (lambda: WorkloadIdentity().federated_token(), "no token_file.*AZURE_FEDERATED_TOKEN_FILE"),
        (
            lambda: WorkloadIdentity(token_file="/no/such").federated_token(),  # noqa: S106
            "token file /no/such does not exist",
        ),
        (lambda: ServicePrincipalCertificate(**IDS).certificate(), "AZURE_CLIENT_CERTIFICATE_PATH"),
        (
            lambda: ServicePrincipalCertificate(certificate_file="/no/such").certificate(),
            "certificate /no/such does not exist",
        ),
    ],
)
def test_what_an_identity_lacks_is_named(identity, told):
    with pytest.raises(LakehouseError, match=told):
        identity()
