"""Benchmarks: each prints a table and writes `var/bench/NAME.json`. A timing never fails a test."""
