"""A phone simulator for development: all that learners and admins do in the app."""
