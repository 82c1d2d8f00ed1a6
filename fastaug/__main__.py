"""`python -m fastaug`."""

import sys

from fastaug.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
