"""The rules of the airline domain as pure functions: frames in, frames out; no Dagster, no IO."""
