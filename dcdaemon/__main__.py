"""`python -m dcdaemon` is the same program as `dcd`."""

from dcdaemon.cli.main import main

if __name__ == "__main__":
    main()
