"""`python -m bench [step|efficiency|stack|driver|commands|frechet|scale|slices|gpu|transfer|why|time-left]`.

Without a word the first seven.
"""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
