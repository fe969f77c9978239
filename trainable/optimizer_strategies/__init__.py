"""Optimizer strategies, one file each; the file name is the strategy's name. Base: trainable/optimizer_strategy.py."""
