"""Networks F of the consistency function: one file, one choice."""

from trainable.network import NETWORKS, Network

__all__ = ["NETWORKS", "Network"]
