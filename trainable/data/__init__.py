"""Data sets: one file, one choice."""
