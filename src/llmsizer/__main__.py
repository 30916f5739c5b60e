"""``python -m llmsizer``."""

from llmsizer.cli.main import main

main()
