"""The budgets, measured: `make bench` runs all families, `python -m bench alarms memory` some."""
