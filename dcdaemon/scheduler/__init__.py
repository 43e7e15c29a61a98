"""Decides which job runs where and why the others wait; pure, it touches only its arguments."""
