"""Noise families, one file each; the file name is the family's name. Bases: spaces/noise_distribution.py."""
