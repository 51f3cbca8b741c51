"""Printers behind OctoPrint, by its REST interface and its push socket.

Machines: whatever OctoPrint 1.9 to 1.11 drives over a serial line (Marlin, Prusa, Repetier firmware …); tried
with OctoPrint 1.11.8 and its virtual printer. Settings:
- `url`: where OctoPrint answers, e.g. `http://printer-3.lan`
- `api_key`: a user's key that may upload, select, print and delete files
- `answer_seconds`: how long an answer may take, default 10

What it cannot do:
- Filament is not measured: usage is read from the position in the file.
- A print that ran while OctoPrint was killed leaves no trace: `locate` says UNSURE, never NEVER_STARTED.
- After a gap, a cancelled print looks like a failed one: OctoPrint's record only says “no success”.
- It does not connect OctoPrint to its printer; a closed serial port is `unknown` (switched off) or `fault`.
"""
