"""`python -m ensemblegen` is the console script."""

from ensemblegen.cli.app import main

main()
