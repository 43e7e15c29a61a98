"""Stand-ins for hardware, clock, store and engine; shipped, for the demo and for tests of users."""
