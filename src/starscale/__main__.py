"""``python -m starscale``."""

from starscale.cli.main import main

if __name__ == "__main__":
    main()
