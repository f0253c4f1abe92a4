"""`python -m cenote`: the command line of this Python, whatever else is on the path."""

from cenote.cli.main import run

if __name__ == "__main__":
    run()
