"""The docs explorer's examples: requests that run as they stand.

`examples` says what each operation's example is, `things` finds what they name, `served` puts both together.
"""
