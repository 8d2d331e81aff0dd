"""Reference packs: the reference embeddings of a manifest in one file, for those who do not have its videos.

``layout`` says what the file is, byte by byte; ``reading`` opens it; ``references`` puts it in the place of media in an
evaluation; ``survey`` decides what may be float16; ``building`` and ``verifying`` are behind ``t2av-bench pack``.

What a pack does to scores
--------------------------
A float32 pack gives the bits that media give, and its results count as such.

A float16 pack rounds the reference, and the evaluation rounds the system's embeddings alike: copies of the real sound
still score as perfect. By Gelbrich's bound the root of a Fréchet distance moves by no more than rounding moves the rows
(root mean squares of both sides, added; ``tests/packs/test_packs_survey.py``). A pack states this of the reference for
each extractor, and holds it below a thousandth of the features' spread. Measured, scores move by a small part of their
standard errors: ``benchmarks/pack_precision.py`` says by how much. So a leaderboard, whose places tie inside the error,
takes such a result beside others, and its notes name the pack. A paired test can tell systems apart that differ by far
less than their errors: :func:`t2av_bench.compare` refuses results whose references are rounded differently.

What a pack proves
------------------
That its bytes are as they were written; and by the SHA-256 that its maker published, that they are the maker's. That
its numbers were computed from the right media, only media can show: ``t2av-bench pack verify --data-dir --sample``.
"""
