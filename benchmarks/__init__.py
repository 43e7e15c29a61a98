"""What the daemon takes: latency, throughput, memory, CPU; each printed as a table by its own program."""
