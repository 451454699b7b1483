"""The domain of conformed dimensions."""

from lakehouse_assets.catalog.domain import Domain, declared_in
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.domains.conformed import DOMAIN, OWNER, gold
from lakehouse_assets.domains.conformed.access import ROLES
from lakehouse_assets.domains.conformed.glossary import TERMS

CONFORMED = Domain(
    name=DOMAIN, owner=OWNER, gold=declared_in(gold, GoldTable), roles=ROLES, terms=TERMS
)
