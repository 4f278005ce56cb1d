"""A unit that becomes an org of its own: the offer, and what moves when it is accepted. Table: `promotions`.
Door: `router`.
"""
