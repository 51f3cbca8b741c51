"""Booking systems that labs have: each kind an adapter behind `orchestrator.ports.BookingSystem`."""
