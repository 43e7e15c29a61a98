"""Energy: from readings to shares that add up."""
