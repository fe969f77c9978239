"""`python -m bench [step|efficiency|driver|commands|slices|scale|transfer|why]`: one, or the first four."""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
