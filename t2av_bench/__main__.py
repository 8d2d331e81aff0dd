"""``python -m t2av_bench`` is the ``t2av-bench`` command."""

from t2av_bench.cli import main

if __name__ == "__main__":
    main()
