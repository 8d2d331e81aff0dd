"""What is evaluated: manifests, their checks, and the built-in synthetic benchmark."""

if __name__ != "t2av_bench.manifests":
    raise ImportError("import this package as t2av_bench.manifests; a copy named manifests would have its own classes")

from t2av_bench.manifests.catalogue import load_manifest, manifest_names
from t2av_bench.manifests.events import event_times
from t2av_bench.manifests.schema import Clip, Manifest, read_manifest, write_manifest

__all__ = ["Clip", "Manifest", "event_times", "load_manifest", "manifest_names", "read_manifest", "write_manifest"]
