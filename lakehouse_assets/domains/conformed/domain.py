"""The domain of what means the same in every other one."""

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.domains.conformed import DOMAIN, OWNER
from lakehouse_assets.domains.conformed.gold import calendar, countries, places

CONFORMED = Domain(name=DOMAIN, owner=OWNER, gold=(*calendar.GOLD, *places.GOLD, *countries.GOLD))
