"""A municipality of 300 residents with two response centres and a ward, and a night that is scripted to the second.

`script` is the language in which a night is written, `night` the night, `stage` plays it before a real central, and
`account` tells afterwards what central and the homes say has happened.
"""
