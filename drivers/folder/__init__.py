"""Machines whose own software stays in charge: the file goes into a folder, a person takes it from there.

Machines: laser and vinyl cutters worked from LightBurn, VisiCut, Inkscape, a cutter's own program; a share that such a
program watches, a folder on the computer beside the machine, or a USB stick. For each file the folder gets
`<token>__<member>__<material><ext>`, a ticket to print (`….ticket.pdf`) and a note for programs (`….json`).

What happens at the machine is known from `….state.json` beside them, which the machine-side program or the kiosk
writes: `{"state": "running" | "paused" | "finished" | "failed" | "cancelled"}`, and where they are known
`"machine_seconds"`, `"beam_seconds"`, `"progress"` (0..1), `"words"`, `"cause"`. Nothing else is evidence: a file that
has gone from the folder was taken, which is no start.

Settings:
- `path`: the folder, absolute; it must be there and writable
- `poll_seconds`: how often it is looked at, default 2
- `answer_seconds`: how long the file system may take, default 10

What it cannot do:
- Start, pause or cancel: every start is refused, every command a conflict.
- Prove that nothing was started: `locate` never says NEVER_STARTED, and a file that somebody has opened in the
  machine's program can be cut although it was revoked from the folder.
- See a machine at work that nobody writes a state file for: it looks idle.
- Tell a position in the file; progress and seconds only where the state file has them.
"""
