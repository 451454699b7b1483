"""`python -m lakehouse_assets` is the command line."""

from lakehouse_assets.cli.main import main

main()
