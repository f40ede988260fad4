"""Who of several processes does what only one may do."""
