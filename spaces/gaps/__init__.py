"""Gaps of teacher and student, one file each; the file name is the gap's name. Base: spaces/gap.py.

Not here: ADCM's adaptive step (arXiv:2510.17266), whose formula could not be checked against text or code.
"""
