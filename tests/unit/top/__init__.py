"""Tests of `gateway top`: what it shows and whom it asks."""
