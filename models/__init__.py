"""Networks: extractors that turn media into embeddings."""

if __name__ != "t2av_bench.models":
    raise ImportError("import this package as t2av_bench.models: a second copy named models would have its own classes")
