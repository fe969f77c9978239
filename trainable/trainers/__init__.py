"""How trials are trained: one file, one trainer."""
