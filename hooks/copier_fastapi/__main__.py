"""Entry point of `python -m copier_fastapi`."""

import sys

from copier_fastapi.cli import main

sys.exit(main(sys.argv[1:]))
