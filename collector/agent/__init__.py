"""What this machine says about itself, in node_exporter's names: the page of `starvc agent`."""
