"""The version, a literal here so that building a wheel need not import the package."""

__version__ = "0.1.0"
