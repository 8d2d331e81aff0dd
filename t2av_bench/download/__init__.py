"""Published files: what is known of each, and how it gets here complete and right.

``remote`` describes a file and verifies a copy, ``transfer`` brings one over HTTP, ``hub`` asks the Hugging Face Hub
where its files are, ``fetching`` puts them together. What can be downloaded is listed by :mod:`t2av_bench.inventory`.
"""
