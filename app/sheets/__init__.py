"""Writing files for spreadsheet programs: `writer.open_writer` is the door, `layout` says what a file looks like.

Every sheet that the service gives out is written here, as XLSX (`xlsx`) or CSV (`comma_separated`). Rows are written
as they come, in constant memory, and nothing is put on a disk. Nothing that somebody typed ever becomes a formula.
"""
