"""Identities as Dagster's configuration, so that the launchpad and the UI know their fields."""

from typing import Annotated, Any, TypeAlias, TypeVar

import dagster as dg
from pydantic import Field, TypeAdapter

from lakehouse_assets.storage import identity as plain

_Kind = TypeVar("_Kind", bound=type[dg.Config])


def _described(kind: _Kind) -> _Kind:
    """Describe a class as the identity that it is: Dagster shows its docstring to people."""
    kind.__doc__ = kind.__mro__[1].__doc__
    return kind


@_described
class AccountKey(plain.AccountKey, dg.Config):
    """`identity.AccountKey` for Dagster."""


@_described
class SharedAccessSignature(plain.SharedAccessSignature, dg.Config):
    """`identity.SharedAccessSignature` for Dagster."""


@_described
class ServicePrincipal(plain.ServicePrincipal, dg.Config):
    """`identity.ServicePrincipal` for Dagster."""


@_described
class ServicePrincipalCertificate(plain.ServicePrincipalCertificate, dg.Config):
    """`identity.ServicePrincipalCertificate` for Dagster."""


@_described
class ManagedIdentity(plain.ManagedIdentity, dg.Config):
    """`identity.ManagedIdentity` for Dagster."""


@_described
class WorkloadIdentity(plain.WorkloadIdentity, dg.Config):
    """`identity.WorkloadIdentity` for Dagster."""


@_described
class AzureCli(plain.AzureCli, dg.Config):
    """`identity.AzureCli` for Dagster."""


@_described
class DefaultIdentity(plain.DefaultIdentity, dg.Config):
    """`identity.DefaultIdentity` for Dagster."""


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
