"""The specification of Établi, as programs: folders mirror the code, services.py starts real servers."""
