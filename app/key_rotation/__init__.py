"""Key rotation while the service runs: `data_key` encrypts every value with the newest data key, `index_key` indexes
every value with the next index key.
"""
