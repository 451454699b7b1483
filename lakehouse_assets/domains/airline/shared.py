"""Names, types and units shared by the declarations of the airline domain."""

DOMAIN = "airline"
OWNER = "team:loyalty"
MONEY = "decimal(18,2)"
# Wide enough for the sum of any number of amounts.
TOTAL = "decimal(38,2)"
CURRENCY = "source currency"
