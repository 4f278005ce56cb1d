"""The program that parses one sheet in a child process, and its modules. They import nothing of the service.

`sheet_parser` is the program. `csv_text` and `workbooks` open the file, `headers` finds the header by the words of
`headings`, and `people` reads the rows under it. `tables` reads sheets that are not about people.
"""
