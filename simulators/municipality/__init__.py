"""A municipality of 300 residents with two response centres and a ward, and a night that is scripted to the second.

`script` is what a night consists of, `pen` writes it, `night` is the night, `stage` plays it before a real central, and
`account` tells afterwards what central and the homes say has happened.
"""
