"""Pure values and rules. Nothing here waits, reads a clock, or knows that a database or a network exists."""
