"""dcdaemon: one daemon that knows the jobs and the hardware of a GPU node."""

__version__ = "0.1.0"
