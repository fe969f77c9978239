"""Runs one command on the head of a cluster and prints how it ended, for `search.cluster.remote` to read.

    python -m search.answer NONCE VERB ...

A job's log is all that comes back of it, with lines of Ray's in between: ours starts with the nonce.
"""

import contextlib
import io
import json
import sys

from search.cli import main

if __name__ == "__main__":
    nonce, *arguments = sys.argv[1:]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    answer = {"exit_code": code, "stdout": out.getvalue(), "stderr": err.getvalue()}
    sys.stdout.write(f"{nonce} {json.dumps(answer)}\n")
