"""Daemons for all proofs."""

from system.daemon_process import new_site, nursery, site, template

__all__ = ["new_site", "nursery", "site", "template"]
