"""The HTTP door: who asks, what is answered, and streams that cost nothing while they wait."""
