"""Search algorithms: which parameters to try next. One file is one algorithm."""
