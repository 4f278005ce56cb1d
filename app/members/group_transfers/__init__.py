"""Transfers of several people to another org with one consent of each org.

Tables: `group_transfers`, `group_transfer_people`. Entry point: `router`.
"""
