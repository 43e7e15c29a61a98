"""The use cases: submit, change, start, finish and explain, over ports only."""
