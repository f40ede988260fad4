"""What was measured, as people ask for it: current values and histories of hosts and VMs, their disks and NICs."""
