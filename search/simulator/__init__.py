"""Whole searches in seconds: the search's own driver code on a virtual clock over recorded learning curves."""
