"""What the lake contains: the tables, rules and models of each domain."""
