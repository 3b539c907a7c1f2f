"""Settings of a hub: models, loader, device profiles, examples."""
