"""Gaps of teacher and student, one file each; the file name is the gap's name. Base: spaces/gap.py.

Not here: ADCM's adaptive step (arXiv:2510.17266), which needs derivatives of the network within a trial; docs/recipe.md
has what of it is established.
"""
