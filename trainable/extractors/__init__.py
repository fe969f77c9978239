"""Feature networks of the Frechet distance: one file, one choice."""
