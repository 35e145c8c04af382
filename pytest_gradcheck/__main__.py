"""Run the command line program: ``python -m pytest_gradcheck``."""

from __future__ import annotations

import sys

from pytest_gradcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
