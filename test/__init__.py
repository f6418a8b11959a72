"""Makes `test` this package: without it, the standard library's package of that name is found."""
