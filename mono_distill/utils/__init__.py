"""Small helpers without a home of their own: errors, atomic files, processes."""
