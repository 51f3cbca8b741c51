"""The schema's history: one file a revision, `versions/NNNN_what.py`, numbered without gaps; the last is the head."""
