"""`python -m hub.cli` is `ooievaar`."""

import sys

from hub.cli import main

sys.exit(main())
