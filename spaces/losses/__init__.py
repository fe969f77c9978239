"""Distances of student and teacher, one file each; the file name is the loss's name. Base: spaces/loss.py."""
