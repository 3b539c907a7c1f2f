"""The auditor: a process of its own that looks whether what was due was done, and shouts by a way of its own."""
