"""The `lakehouse` command."""

import warnings

with warnings.catch_warnings():
    # Typer imports names that Click has moved, which is Typer's to mend.
    warnings.filterwarnings("ignore", "'click.utils", DeprecationWarning)
    import typer as _typer  # noqa: F401
