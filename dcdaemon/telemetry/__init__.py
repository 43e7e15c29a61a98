"""The node's sensors: GPUs through a supervised child, the host through /proc and /sys."""
