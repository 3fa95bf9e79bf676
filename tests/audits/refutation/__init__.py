"""Tests of claims that are tried."""
