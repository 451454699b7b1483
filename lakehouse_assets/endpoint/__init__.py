"""SQL over the network: the lake as a PostgreSQL server, which every BI tool can read."""
