"""Writing of files for spreadsheet programs.

`writer.open_writer` is the entry point; `layout` describes a file. Every sheet that the service returns is written
here, as XLSX (`xlsx_writer`) or CSV (`csv_writer`). Rows are streamed in constant memory, and nothing is written to a
disk. A text that a user has typed never becomes a formula.
"""
