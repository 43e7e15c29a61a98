"""What the kernel tells of the node, under node_exporter's names, for the boards that are made for it."""
