"""Physical hosts and their states."""
