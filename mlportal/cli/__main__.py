"""``python -m mlportal.cli``."""

import sys

from mlportal.cli import main

sys.exit(main())
