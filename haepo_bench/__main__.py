"""`python -m haepo_bench`."""

from haepo_bench.cli.main import main

if __name__ == "__main__":
    main()
