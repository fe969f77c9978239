"""Weights of the loss, one file each; the file name is the weight's name. Base: spaces/weight.py.

Not here: ADCM's adaptive weight (arXiv:2510.17266), of which its text leaves open what it is a mean over.
"""
