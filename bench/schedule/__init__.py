"""The laboratory of scheduling: weeks of a fab lab from a seed, policies that decide in them, and what came of it."""
