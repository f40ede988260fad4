"""VMs, disks and NICs."""
