"""Published schedules, one file each with a `PRESET`; the file name is its name. See spaces/preset.py.

How far a published figure was verified: [abs] read in the paper's abstract, a review or a summary only;
[text] read in the body of the paper; [code] read in a public repository; [notes] read in
someone else's notes on the paper; [recalled] from memory; [ours] found here, no paper's.
"""
