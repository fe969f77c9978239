"""`python -m bench [step|efficiency|driver]`: one benchmark, or all of them. See `bench.command`."""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
