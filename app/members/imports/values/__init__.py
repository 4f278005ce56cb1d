"""The values of a row's cells: a name, a phone, units and party membership, each read from the text of a cell.

Each function returns a value, with codes of warnings, or raises the code of the problem (`row_problems`).
"""
