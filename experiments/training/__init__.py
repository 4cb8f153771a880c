"""Training engine: from a frame and a specification to a model and its evaluation.

Pure Python with numpy, pandas and scikit-learn. ``catalogue``, ``parameters``
and ``spec`` are light (no scientific import) and are used by forms and the API;
the other modules are imported by the training child process only.
"""
