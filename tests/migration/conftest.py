"""Fixtures of the migration tests."""

from tests.postgres import postgres_url  # noqa: F401  a fixture
