"""The budgets, measured. `make bench` runs all and writes bench/results.json."""
