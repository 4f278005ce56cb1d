"""A phone that plays the app, in development: everything a learner or an administrator does with it."""
