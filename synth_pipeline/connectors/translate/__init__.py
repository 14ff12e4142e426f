"""A schema of one database in the words of another: what the target gets, and a line for everything that it does not.

`spelling` is what has to be known of a target, as data; `types` its common part; `expressions` and `views` turn SQL over
where the meaning is sure to stay, with sqlglot; `schema` puts the definitions together. Nothing here talks to a database.
"""
