"""Faults as technicians work with them: folded by condition and by area, quiet during announced work."""
