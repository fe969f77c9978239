"""Grids of noise levels, one file each; the file name is the grid's name. Base: spaces/grid.py."""
