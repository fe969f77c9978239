"""Commands: one file is one verb of `python -m search`.

Each defines `HELP` (one line, a plain string), `add_arguments(parser)` and `run(args) -> int`. The
module's docstring is shown by `python -m search VERB --help`. `--json` is added to every verb, what several
verbs have is in `_options`. A command prints its result on stdout, and raises `search.errors` for what went wrong.
`ONLY_LOOKS = True` says of one that it computes little and starts nothing.
"""
