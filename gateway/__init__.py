"""The hub daemon: intake, triage, journal, dispatch, local response, health."""
