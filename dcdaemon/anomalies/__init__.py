"""Anomalies: rules over a picture of the node, each finding with its evidence."""
