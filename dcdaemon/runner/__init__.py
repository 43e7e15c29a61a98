"""Runner: starts each job under a shim that outlives the daemon, and tells what became of it."""
