"""``python -m dmap``."""

import sys

from .cli import main

sys.exit(main())
