"""A simulated data centre: believable hosts and VMs, deterministic by seed, with faults on demand."""
