"""Drawings: from an SVG or DXF to operations, a toolpath, its time, and the bytes that a laser or vinyl cutter takes.

Everything here is pure and runs in the cage (`slicing.zygote`), on plain values; nothing of it starts a machine.
The way of a drawing: `svg`/`dxf` read a Design; `operations` and `materials` say what each colour becomes; `build`
makes a Toolpath of it; `planner` times it; a post-processor (`grbl`, `hpgl`, `ruida`, `handoff`) writes the bytes.
"""
