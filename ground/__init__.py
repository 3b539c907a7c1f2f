"""What stands below everything: small things that drivers, settings and the wire all need. Knows nothing of ours."""
