"""The pages of the retail domain."""
