"""One module per sort of fault. Every module here is found by itself."""
