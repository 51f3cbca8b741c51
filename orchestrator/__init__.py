"""The heart of Établi: what a job, a machine and a price are, and what happens in which order."""
