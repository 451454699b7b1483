"""The rules of the retail domain as pure functions: frames in, frames out; no Dagster, no IO."""
