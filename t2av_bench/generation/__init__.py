"""The reference system's sounds for a manifest or one video, in a folder that can be scored.

``making`` is the flow, ``batches`` shares clips out, ``record`` says in the folder how its sounds were made.
"""
