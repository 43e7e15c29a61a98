"""The words of the product and the ports between its rooms."""
