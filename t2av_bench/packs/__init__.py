"""Reference packs: the reference embeddings of a manifest in one file, for those who do not have its videos.

``layout`` says what the file is, byte by byte; ``reading`` opens it; ``references`` puts it in the place of media in an
evaluation; ``building`` and ``verifying`` are behind ``t2av-bench pack``.
"""
