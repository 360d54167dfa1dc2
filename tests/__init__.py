"""Tests of the gateway; `kit` holds what they share."""
