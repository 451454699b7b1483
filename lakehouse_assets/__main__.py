"""`python -m lakehouse_assets` is the command line."""

from lakehouse_assets.cli import main

main()
