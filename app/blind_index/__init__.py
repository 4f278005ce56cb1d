"""Finding encrypted values: a keyed hash (blind index) of each phone and ID number, also while the index key is
rotated. Table: `index_rotations`. Starting a rotation is the package `key_rotation`.
"""
