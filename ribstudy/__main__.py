"""`python -m ribstudy`."""

import sys

from ribstudy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
