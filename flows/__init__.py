"""The command line and the flows: settings in, artifacts out; no numerics here."""
