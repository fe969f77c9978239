"""`python -m bench [step|efficiency|stack|driver|commands|slices|gpu|scale|transfer|why|time-left]`.

Without a word the first five.
"""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
