"""The services of a cluster's head, and what makes use of them there."""
