"""Xuezu: directory, certification and reporting for learning organisations."""
