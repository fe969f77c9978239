"""Several trials at once on one device: one pass, one backward pass, one optimiser step for all."""
