"""Asking for exports and downloading them."""
