"""One duty a file: what the daemon does again and again."""
