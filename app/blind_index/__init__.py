"""Blind indexes: keyed hashes by which encrypted phones and ID numbers are found, also during a rotation of the index
key. Table: `index_rotations`. The package `key_rotation` runs the rotation.
"""
