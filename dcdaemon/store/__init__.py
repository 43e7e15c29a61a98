"""The database: jobs, ledger, samples and anomalies, on SQLite or PostgreSQL."""
