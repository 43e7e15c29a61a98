"""Where jobs run: each engine implements the Engine of core.ports."""
