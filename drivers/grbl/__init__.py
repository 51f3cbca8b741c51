"""Laser cutters behind Grbl 1.1, grblHAL or FluidNC; Établi feeds them line by line while a person is there.

Settings:
- `address`: where the controller answers: `tcp://host:port` (ser2net, raw), `telnet://host:port` (FluidNC, grblHAL),
  `ws://host:port/` (FluidNC), `serial:///dev/ttyUSB0?baud=115200`
- `power_max`: optional; what full power is called, must be the controller's `$30`
- `bed_mm`: optional; [x, y] of the work area, must lie in the controller's travel (`$130`, `$131`)
- `door`: true where the controller has a door input; then it is reported as the condition `lid`
- `rx_bytes`: optional; size of the receive buffer where the controller does not tell it in `[OPT:]`
- `answer_seconds`: how long an answer may take, default 5

How it is safe: it starts nothing without a release of this very file that has not expired, feeds M4 (dynamic power)
only, wants laser mode (`$32=1`), and sends `!` (feed hold) by itself 1.5 s after the last `attend()`. It never resets
a controller on connecting.

What it cannot do:
- It cannot reach a controller whose cable is cut: that one works off its buffer (some 15 moves and 128 bytes) and
  stops, with the beam off. The run is then nobody's guess, and is never fed on.
- After a restart of ours the file is not known any more: `locate` says UNSURE.
- The file is checked against a list of allowed words, not in the controller's own check mode (`$C`).
- Nobody's own file can be told by name, except one that FluidNC or grblHAL runs from its card.
- Beam seconds are sums over five reports a second, not a count of the controller's.
"""
