"""Devices: bytes and pins in, Observations out. One folder a driver; imports nothing else of ours."""
