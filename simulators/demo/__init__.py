"""The whole journey on one machine: central, a hub and a simulated home as real processes, and a page to play with."""
