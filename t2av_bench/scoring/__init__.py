"""From embeddings to scores.

``scorecard`` is the flow: ``distances`` between the sets, ``alignment`` indices of the same statistics,
``contributions`` of clips and the standard errors that they give, and ``uncertainty`` beyond these. Companion scores
are in :mod:`t2av_bench.companions`.
"""
