"""Conformed dimensions: what means the same in every domain, such as a day, and is kept once.

What only one domain knows belongs to that domain.
"""

DOMAIN = "conformed"
OWNER = "team:platform"
