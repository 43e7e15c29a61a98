"""Alembic's folder: how each schema becomes the next."""
