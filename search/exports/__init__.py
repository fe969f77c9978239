"""Export formats, one file each; the file name is the format's name. Base: search/export_format.py."""
