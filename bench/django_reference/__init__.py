"""The peer of `vs_django`: the same read in Django REST framework, which only the bench installs."""
