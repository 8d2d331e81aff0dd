"""From media and captions to embeddings.

``choice`` makes the extractors that a run uses, ``checking`` looks at every file before any costly work, ``embedding``
is the engine (load, batch, embed, store), ``batching`` puts rows of several clips through a network together.
"""
