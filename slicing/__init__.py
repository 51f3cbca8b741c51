"""From a member's mesh to seconds, grams and G-code.

Owns: reading hostile files, measuring them, the instant estimate, our slicer profiles, the slicer as a
process, and what can be read from its G-code. Refuses to know: jobs, machines in use, money, the database
and the web. Every parser of a member's bytes runs in a child process with limits; nothing here parses one
in the caller.
"""
