"""A small HTTP client of the daemon, for the command line and for users' own scripts."""
