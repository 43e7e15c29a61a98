"""The daemon itself: its parts put together, its duties and its way of living with systemd."""
