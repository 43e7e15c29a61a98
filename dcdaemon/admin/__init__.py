"""What a command line does to the machine itself: the installed service, power limits."""
