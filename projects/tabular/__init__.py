"""Engine for tables: read CSV and Parquet strictly, infer types, profile, preview, export.

Pure Python with numpy, pyarrow and DuckDB; no Django. ``sniff`` and ``guard`` import nothing heavy, so
the web process can use them while bytes arrive; everything else runs in a child of a worker.
"""
