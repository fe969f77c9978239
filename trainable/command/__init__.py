"""A script of the user's as a trial: its command line, its process, its reports."""
