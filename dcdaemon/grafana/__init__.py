"""Grafana boards: built from one description for PostgreSQL and SQLite, written to files or uploaded."""
