"""Examples of parts, a file each, and `claims`, the papers' claims as runs."""
