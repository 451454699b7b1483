"""The domain of conformed dimensions."""

from lakehouse_assets.catalog.domain import Domain, declared_in
from lakehouse_assets.catalog.gold import GoldTable
from lakehouse_assets.domains.conformed import DOMAIN, OWNER, gold

CONFORMED = Domain(name=DOMAIN, owner=OWNER, gold=declared_in(gold, GoldTable))
