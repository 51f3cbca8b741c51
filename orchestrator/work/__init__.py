"""Durable work behind its port: DBOS in `dbos.py`, in memory for tests in `inline.py`; locks in
`locks.py`."""
