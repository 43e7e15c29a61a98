"""PyTorch programs that run as jobs: real trainings for demonstrations and tests, and two that misbehave."""
