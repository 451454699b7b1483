"""Identities as Dagster's configuration, so that the launchpad and the UI know their fields.

Belongs here: each identity as a class that Dagster reads a schema from. Not here: what an identity
is (`identity.py`), which the lake knows without Dagster.
"""

from typing import Annotated, Any, TypeAlias

import dagster as dg
from pydantic import Field, TypeAdapter

from lakehouse_assets.lake import identity as plain


class AccountKey(plain.AccountKey, dg.Config):
    """The storage account's shared key."""


class SharedAccessSignature(plain.SharedAccessSignature, dg.Config):
    """A shared access signature."""


class ServicePrincipal(plain.ServicePrincipal, dg.Config):
    """An application that proves itself by a secret."""


class ServicePrincipalCertificate(plain.ServicePrincipalCertificate, dg.Config):
    """An application that proves itself by a certificate."""


class ManagedIdentity(plain.ManagedIdentity, dg.Config):
    """The identity of the machine that this runs on."""


class WorkloadIdentity(plain.WorkloadIdentity, dg.Config):
    """An application that proves itself by a token of where it runs."""


class AzureCli(plain.AzureCli, dg.Config):
    """Whoever is signed in with `az login`."""


class DefaultIdentity(plain.DefaultIdentity, dg.Config):
    """The first identity that this place is set up for."""


ConfiguredIdentity: TypeAlias = Annotated[
    AccountKey
    | SharedAccessSignature
    | ServicePrincipal
    | ServicePrincipalCertificate
    | ManagedIdentity
    | WorkloadIdentity
    | AzureCli
    | DefaultIdentity,
    Field(discriminator="kind"),
]
_PLAIN: TypeAdapter[plain.Identity] = TypeAdapter(plain.Identity)


def configured(identity: plain.Identity) -> Any:
    """Write an identity as a resource is given it: its fields under its kind."""
    return {identity.kind: identity.model_dump(exclude={"kind"}, exclude_none=True)}


def declared(identity: ConfiguredIdentity) -> plain.Identity:
    """Return the identity of a resource as the lake knows it, and processes without Dagster."""
    return _PLAIN.validate_python(identity.model_dump())
