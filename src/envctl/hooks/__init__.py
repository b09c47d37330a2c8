"""Git's hook that notices pushes.

Git has none for after a push. `reference-transaction` runs whenever refs change, so also when a push has moved, made or
removed the remote branches that this repository remembers. `installation` puts it in, `condition` looks at it, and
`background` is what it starts; nothing stands here, for that is imported while git works.
"""
