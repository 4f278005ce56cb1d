"""The peer: the same read by Django and Django REST framework, installed only for the bench, in a place of its own."""
