"""Daemons for all system tests."""

from system.daemon_process import new_site, nursery, site, template

__all__ = ["new_site", "nursery", "site", "template"]
