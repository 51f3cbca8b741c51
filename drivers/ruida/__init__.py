"""Laser cutters with a Ruida controller (RDC6442, RDC6445, 644XG, 634XG …) over UDP: store only, never start.

Machines: CO2 cutters whose controller answers at UDP port 50200. Tried with MeerK40t's emulator and our own fake
controller; no hardware yet, see `quality.md`. Settings:
- `host`: the controller's address, e.g. `192.168.1.100`
- `state_path`: a small file for what is staged and the counters at that moment; without it a run that is under way
  or ends while we are down is unsure
- `port`: of the controller, default 50200
- `local_port`: of ours, default 40200: controllers answer there whatever port they were asked from; 0 takes any
- `magic`: how the controller scrambles its bytes, default `"88"`; `"11"` for a 634XG, `"38"` for some others
- `answer_seconds`: how long an answer may take with all its repetitions, default 10
- `poll_seconds`: how often it is asked what it does, default 0.5

What it cannot do:
- Start, or go on after a pause: that is done at the machine's panel. No command that starts or moves can leave.
- Tell which document runs: the protocol does not say. The first to run after ours was staged, while ours is the only
  one staged and nobody has changed the controller's list since, is taken for ours.
- Tell how far it is: there is no progress and no position in the file.
- Read a document back: it is checked by the acknowledgement of each packet, the controller's list, and a sum in the
  document that the controller may check.
- Protect itself: the protocol knows no key. The controller belongs in a network that only Établi reaches.
"""
