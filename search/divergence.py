"""What a diverged trial looks like to those who compare trials."""

# The objective that it reports: WORST_OBJECTIVE in trainable/trial.py, which would bring torch along.
DIVERGED = 1e9


def has_diverged(value: float) -> bool:
    return not value < DIVERGED
