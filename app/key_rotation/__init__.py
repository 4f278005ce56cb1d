"""Rotating the keys: `data_key` encrypts every value by the newest data key, `index_key` indexes every value by the
next index key, both while the service runs.
"""
