"""Curricula, one file each; the file name is the curriculum's name. Base: spaces/curriculum.py."""
