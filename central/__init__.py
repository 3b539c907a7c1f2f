"""Central: takes what hubs report and brings it to people who act on it."""
