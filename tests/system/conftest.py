"""Daemons for all system tests."""

from system.daemon_process import driver_of_eight, new_site, nursery, site, template

__all__ = ["driver_of_eight", "new_site", "nursery", "site", "template"]
