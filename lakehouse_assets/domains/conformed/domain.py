"""The domain of what means the same in every other one."""

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.domains.conformed.gold import calendar, places
from lakehouse_assets.domains.conformed.tables import DOMAIN, OWNER

CONFORMED = Domain(name=DOMAIN, owner=OWNER, gold=(*calendar.GOLD, *places.GOLD))
