"""Plays recorded jobs through the scheduler in virtual time, to compare policies and machines."""
