"""Servers of a head, one file each: `server(settings)` says how it is started, None where it is not installed."""
