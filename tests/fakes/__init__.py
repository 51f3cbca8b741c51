"""Small honest stand-ins for the world: each does what the real thing does, on a clock or in memory of its own."""
