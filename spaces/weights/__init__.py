"""Weights of the loss, one file each; the file name is the weight's name. Base: spaces/weight.py.

Not here: ADCM's adaptive weight (arXiv:2510.17266), whose formula could not be checked against text or code, and sCM's
learned one (arXiv:2410.11081), which trains a second network beside the model.
"""
