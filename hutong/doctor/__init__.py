"""Looks for what is wrong with an installation, a home and a bus, and says what to do about each: ``hutong doctor``.

One file per group of checks: ``look`` collects facts, and pure functions judge them, one for each check.
"""
