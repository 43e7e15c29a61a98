"""The command line: one verb a file, tables and JSON from the same documents."""
