"""One portal for the machine-learning lifecycle: data, training, promotion, serving, monitoring."""

__version__ = "0.1.0"
