"""Asking calls that are over: DuckDB over the files of the call log, and no second database. The serving process never
imports this package; it asks through `python -m gateway.past.worker`.
"""
