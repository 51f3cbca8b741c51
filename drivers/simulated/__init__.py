"""A 3D printer or laser cutter in memory: the reference driver, the demo's machines and those of the tests.

Machines: none of metal. Settings (all optional):
- `identity`: what it calls itself
- `kind`: `printer` or `laser`
- `speed`: how many of its seconds pass in one of ours, default 1
- `default_seconds`: how long a file prints that does not say so itself, default 600
- `pace`: how many of its seconds a second of the file takes, default 1; 1.08 is a machine 8 % slower than its slicer
- `warm_up_seconds`: how long it heats before each print, beyond what the file says, default 0
- `panel`: a laser that is started at its own panel, and refuses every start of ours
- `reading_seconds`: while it prints it is read at most this often, default 1
- `state_path`: a small file in which the machine outlives us; after our crash its print has gone on

What it cannot do: it opens no wire, moves nothing, measures no filament, and believes a file's own
`; estimated printing time`. A laser starts only with a presence, and holds by itself
once nobody says any more that somebody is there.
"""
