"""SQL over the network: PostgreSQL's protocol for BI tools, and Arrow Flight SQL."""
