"""What the declarations of the airline domain have in common."""

DOMAIN = "airline"
OWNER = "team:loyalty"
MONEY = "decimal(18,2)"
# What adds up any number of amounts.
TOTAL = "decimal(38,2)"
CURRENCY = "source currency"
