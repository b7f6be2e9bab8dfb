"""`python -m constrain`: the same as the `constrain` command."""

from __future__ import annotations

import sys

from constrain.cli import main

sys.exit(main())
