"""Conformed dimensions, such as days: they mean the same in every domain and are stored once.

What only one domain knows belongs to that domain.
"""

DOMAIN = "conformed"
OWNER = "team:platform"
