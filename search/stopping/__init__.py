"""Stopping rules: which trials end early. One file is one rule."""
