"""``python -m hutong`` is the command ``hutong``."""

from hutong.cli import main

main()
