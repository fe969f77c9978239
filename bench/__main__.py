"""`python -m bench [step|start|efficiency|stack|driver|commands|frechet|scale|slices|gpu|transfer|why|time-left]`.

Without a word the first eight.
"""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
