"""The `lakehouse` command."""

import warnings

with warnings.catch_warnings():
    # Typer imports names that Click has moved, which only Typer can fix.
    warnings.filterwarnings("ignore", "'click.utils", DeprecationWarning)
    import typer as _typer  # noqa: F401
