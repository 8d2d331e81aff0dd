if __name__ != "t2av_bench.metrics":
    raise ImportError(
        "import this package as t2av_bench.metrics: a second copy named metrics would have its own classes"
    )
